/** One call of an admin service, as the service sees it. */
import type { DescMessage, MessageShape } from "@bufbuild/protobuf";
import { createContextKey, type HandlerContext } from "@connectrpc/connect";
import { changesAllTenants, seesAllTenants } from "../../core/access.ts";
import { GatewayError } from "../../core/error.ts";
import type { Principal } from "../../core/principal.ts";
import { describeChange, type RecordedChange } from "./audit-change.ts";

/** What a change was made to, for the audit log: no secrets. */
export interface AuditSubject {
  /** `key`, `tenant`, `project`, ... */
  readonly kind: string;
  readonly id: string;
  /** Whose log it stands in; by default the caller's tenant. */
  readonly tenant?: string | undefined;
  /** More facts, as `{ fields: ["name"] }`. */
  readonly details?: Readonly<Record<string, unknown>> | undefined;
}

export class AdminCall {
  /** Authenticated, and with what the method's rule asks for. */
  readonly principal: Principal;
  /** The gateway's own id of this request. */
  readonly requestId: string;
  readonly #reads: boolean;
  #subject: AuditSubject | undefined;
  #change: RecordedChange = {};

  /** `reads`: the call changes nothing. */
  constructor(principal: Principal, requestId: string, reads = false) {
    this.principal = principal;
    this.requestId = requestId;
    this.#reads = reads;
  }

  get subject(): AuditSubject | undefined {
    return this.#subject;
  }

  get change(): RecordedChange {
    return this.#change;
  }

  /**
   * The tenant that a request means: the caller's where it names none. Throws not_found for another one, whether it is
   * there or not, unless the caller sees all tenants, or changes them where the call does.
   */
  tenant(named: string): string {
    const { principal } = this;
    if (named === "" || named === principal.tenant) return principal.tenant;
    if (this.#reads ? seesAllTenants(principal) : changesAllTenants(principal)) return named;
    throw new GatewayError("not_found", `there is no tenant "${named.slice(0, 64)}"`, {
      fields: [{ field: "tenant", description: "names no tenant that the caller may see; leave it out for the caller's own" }],
    });
  }

  /** Says what the call is about. Every changing procedure does so, as soon as it knows. */
  about(subject: AuditSubject): void {
    this.#subject = subject;
  }

  /** Says what the change made of the record: as it is written to the caller, absent where it was or is not there. */
  changed<Desc extends DescMessage>(schema: Desc, before: MessageShape<Desc> | undefined, after: MessageShape<Desc> | undefined): void {
    this.#change = describeChange(schema, before, after);
  }
}

/** Set by the frame before a procedure runs. */
export const adminCallKey = createContextKey<AdminCall | undefined>(undefined, { description: "the admin call" });

/** The call that a procedure runs in. */
export function adminCallOf({ values }: Pick<HandlerContext, "values">): AdminCall {
  const call = values.get(adminCallKey);
  if (call === undefined) throw new Error("an admin procedure was mounted without its frame");
  return call;
}
