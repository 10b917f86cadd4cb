/** Where connections come from in a process that does not accept them itself: another process accepts and hands them on. */
import type { AddressInfo, Socket } from "node:net";

/** One port that another process has bound. */
export interface ConnectionSource {
  readonly address: AddressInfo;
  /** Begins: `take` gets each connection before anything was read from it. */
  open(take: (socket: Socket) => void): void;
  /** Resolves when no further connection can come; those handed over until then have been given to `take`. */
  close(): Promise<void>;
}
