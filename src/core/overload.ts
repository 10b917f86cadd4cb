/** Whether this process can take another call now (reliability.md 2.9): asked when a request's head is there, before its body is read. */
import type { GatewayError } from "./error.ts";

export interface OverloadGate {
  /** Why not; undefined where it can. Each caller gets an error of its own. */
  refusal(): GatewayError | undefined;
}
