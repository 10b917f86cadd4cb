/** Stands in where workers keep their records each for itself: two of them would run one key twice. */
import { GatewayError } from "../core/error.ts";
import type { IdempotencyStore } from "../core/idempotency-store.ts";

const refuse = (): Promise<never> =>
  Promise.reject(
    new GatewayError(
      "store_unavailable",
      "idempotency keys need a store that all workers share: set DRAGOMAN_DATA_DIR or DATABASE_URL, or leave the key out",
      { retryable: false },
    ),
  );

export const unsharedIdempotency: IdempotencyStore = {
  begin: refuse,
  finish: refuse,
  release: refuse,
  prune: () => Promise.resolve(0),
};
