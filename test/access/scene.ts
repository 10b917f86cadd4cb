/** Stored keys over a real store in memory that counts what is asked of it, can be away, and a clock that tests move. */
import { onTestFinished } from "vitest";
import { installer, KeyAdministration, type KeyFacts, plainKey } from "../../src/access/key-administration.ts";
import { KeyChanges } from "../../src/access/key-changes.ts";
import { sha256OfKey } from "../../src/access/key-file.ts";
import { createPepper, createPeppers, type Peppers } from "../../src/access/pepper.ts";
import { StoredKeys } from "../../src/access/stored-keys.ts";
import type { Clock } from "../../src/core/clock.ts";
import { GatewayError } from "../../src/core/error.ts";
import type { KeyStore } from "../../src/core/key-store.ts";
import { silentLog } from "../../src/core/log.ts";
import type { Principal } from "../../src/core/principal.ts";
import { Secret } from "../../src/core/secret.ts";
import type { Stores } from "../../src/core/stores.ts";
import { createStores } from "../../src/stores/create-stores.ts";

export class MovableClock implements Clock {
  time = 1_700_000_000_000;

  now(): number {
    return this.time;
  }

  wall(): number {
    return this.time;
  }
}

export interface KeyScene {
  readonly stores: Stores;
  readonly clock: MovableClock;
  readonly administration: KeyAdministration;
  readonly stored: StoredKeys;
  readonly changes: KeyChanges;
  /** Look-ups of single keys so far. */
  lookUps(): number;
  /** Whether the store fails. */
  away: boolean;
  /** Whether it does not answer at all. */
  silent: boolean;
  /** What secrets are hashed with. */
  peppers: Peppers;
  /** A key of the default tenant, as it is sent. */
  make(facts?: Partial<KeyFacts>): Promise<{ readonly id: string; readonly key: string }>;
  /** The principal, or the reason of the refusal. */
  ask(key: string, address?: string): Promise<Principal | string>;
}

export const pepper = createPepper(new Secret("pepper-of-these-tests-0123456789-abcdef"));

export interface KeySceneOptions {
  /** The administration is another process, whose changes are seen only by looking. */
  readonly separate?: boolean;
  /** Another gateway over the same store. */
  readonly from?: Pick<KeyScene, "stores" | "clock">;
  readonly peppers?: Peppers;
}

export async function openKeyScene({ separate = false, from, peppers = createPeppers(pepper) }: KeySceneOptions = {}): Promise<KeyScene> {
  const clock = from?.clock ?? new MovableClock();
  const stores = from?.stores ?? (await openStores(clock));
  let lookUps = 0;
  const scene = { away: false, silent: false, peppers };
  const guarded = new Proxy(stores.keys, {
    get(target, name: keyof KeyStore) {
      return (...args: unknown[]) => {
        if (name === "findById" || name === "findBySha256") lookUps++;
        if (scene.silent) return new Promise(() => undefined);
        if (scene.away) return Promise.reject(new GatewayError("store_unavailable", "away"));
        return (target[name] as (...args: unknown[]) => unknown).apply(target, args);
      };
    },
  });
  const changes = new KeyChanges({ keys: guarded, log: silentLog });
  const stored = new StoredKeys({
    keys: guarded,
    tenants: stores.tenants,
    projects: stores.projects,
    peppers: () => scene.peppers,
    changes,
    clock,
  });
  const administration = new KeyAdministration({
    keys: stores.keys,
    pepper: () => scene.peppers.current,
    clock,
    changes: separate ? undefined : changes,
  });
  await changes.look();
  return Object.assign(scene, {
    ...{ stores, clock, administration, stored, changes },
    lookUps: () => lookUps,
    async make(facts: Partial<KeyFacts> = {}) {
      const { record, secret } = await administration.create("default", { ...plainKey, ...facts }, installer);
      return { id: record.id, key: secret.reveal() };
    },
    async ask(key: string, address = "192.0.2.1") {
      try {
        return await stored.authenticate(key, sha256OfKey(key), () => address);
      } catch (error) {
        if (error instanceof GatewayError) return error.reason;
        throw error;
      }
    },
  });
}

async function openStores(clock: Clock): Promise<Stores> {
  const stores = await createStores({
    engine: "memory",
    dataDir: "",
    databaseUrl: undefined,
    migrateOnStart: false,
    responses: { maxBytes: 0, ttlMs: 1 },
    clock,
    log: silentLog,
  });
  onTestFinished(() => stores.close());
  return stores;
}
