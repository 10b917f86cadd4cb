/** Signatures of reasoning and calls: proof for the provider that gave them, noise for all others (contract.md 1, rule 4). */
import type { Signature } from "../../gen/dragoman/v1/generate_pb.ts";

/** Whether a provider that takes signatures of this family gave it. Clients that cannot say who did mean the one they call. */
export function isSignedBy({ format, provider }: Signature, family: string, target: string): boolean {
  return format === family && (provider === "" || provider === target);
}
