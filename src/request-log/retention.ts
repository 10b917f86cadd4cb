/** How much of a call's content may be kept. */
import { Retention as Asked, type CallOptions } from "../../gen/dragoman/v1/call_pb.ts";
import { type Retention, retentions } from "../core/request-log-store.ts";

export interface RetentionPolicy {
  /** Where a call does not say. */
  readonly byDefault: Retention;
  /** Whatever a call says. */
  readonly max: Retention;
}

const asked: Readonly<Partial<Record<Asked, Retention>>> = {
  [Asked.NONE]: "none",
  [Asked.METADATA]: "metadata",
  [Asked.FULL]: "full",
};

/** The lesser of what the call asks for and what the operator allows (surfaces.md 2.5). */
export function retentionOf(options: CallOptions | undefined, { byDefault, max }: RetentionPolicy): Retention {
  const wanted = asked[options?.retention ?? Asked.UNSPECIFIED] ?? byDefault;
  return retentions.indexOf(wanted) < retentions.indexOf(max) ? wanted : max;
}
