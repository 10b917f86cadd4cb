/**
 * Who issued a reasoning or tool-call signature (contract.md 1, rule 4). Vendors refuse each other's signatures, most
 * dialects cannot say whose one is, and Chat clients lose them altogether; so the gateway remembers. Bounded, with a
 * lifetime; forgetting costs quality, never a call. In memory, or shared between replicas.
 */
import type { Signature } from "../../gen/dragoman/v1/generate_pb.ts";

export interface SignedReasoning {
  readonly text: string;
  /** Sections of a summary, where the provider shows no more. */
  readonly summaries: readonly string[];
  readonly redacted: boolean;
  readonly signature: Signature;
}

/** The reasoning that led to a tool call, and the call's own signature. */
export interface CallSignatures {
  /** Of the call itself. */
  readonly signature: Signature | undefined;
  /** Reasoning before the call in the same turn, in order. */
  readonly reasoning: readonly SignedReasoning[];
}

export interface SignatureStore {
  /** Remembers issuers. `owner` keeps callers apart: nobody learns of another's values. */
  remember(owner: string, signatures: readonly Signature[]): void;
  /** Remembers what belongs to a tool call, by the id that the client was given. */
  rememberCall(owner: string, callId: string, signatures: CallSignatures): void;
  /** Format and provider of each value, undefined where not known. */
  issuers(owner: string, values: readonly string[]): Promise<readonly (Pick<Signature, "format" | "provider"> | undefined)[]>;
  /** What belongs to each call, undefined where not known. */
  calls(owner: string, callIds: readonly string[]): Promise<readonly (CallSignatures | undefined)[]>;
}
