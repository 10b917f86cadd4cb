/** Writes what callers of the admin services did, or were refused, into the audit log. */
import type { DescMethod } from "@bufbuild/protobuf";
import { MethodOptions_IdempotencyLevel as Idempotency } from "@bufbuild/protobuf/wkt";
import type { AuditStore, NewAuditEntry } from "../../core/audit-store.ts";
import type { Clock } from "../../core/clock.ts";
import type { GatewayError } from "../../core/error.ts";
import type { Logger } from "../../core/log.ts";
import type { AdminCall } from "./admin-call.ts";

export interface AuditTrailOptions {
  readonly audit: Pick<AuditStore, "append">;
  readonly clock: Clock;
  readonly log: Logger;
}

export class AuditTrail {
  readonly #options: AuditTrailOptions;

  constructor(options: AuditTrailOptions) {
    this.#options = options;
  }

  /**
   * Notes how a call ended; reads are not noted. The entry stands when this resolves. What was done stays done where the
   * log cannot be written: the caller must have their answer, a new key above all, so that failure goes to the log.
   */
  async note(method: DescMethod, call: AdminCall, address: string, failure: GatewayError | undefined): Promise<void> {
    if (!changes(method)) return;
    const { audit, clock, log } = this.#options;
    const { principal, requestId, subject, change } = call;
    const action = actionOf(method);
    const reason = failure === undefined ? {} : { reason: failure.reason };
    const entry: NewAuditEntry = {
      at: clock.wall(),
      actor: principal.id,
      action,
      subjectKind: subject?.kind ?? nounOf(method),
      subjectId: subject?.id ?? "",
      outcome: failure === undefined ? "success" : failure.status >= 500 ? "failed" : "refused",
      detailsJson: JSON.stringify({
        ...subject?.details,
        ...(failure === undefined ? change : {}),
        ...reason,
        address,
        actor_tenant: principal.tenant,
      }),
      requestId,
    };
    try {
      await audit.append(subject?.tenant ?? principal.tenant, entry);
    } catch (error) {
      log.error("an entry of the audit log could not be written", { request_id: requestId, principal: principal.id, event: action, error });
    }
  }
}

/** Whether a method may change anything: all that do not say that they have no side effects. */
export function changes({ idempotency }: DescMethod): boolean {
  return idempotency !== Idempotency.NO_SIDE_EFFECTS;
}

/** `keys.create` for KeyService.CreateKey, `tenants.create_project` for TenantService.CreateProject. */
function actionOf(method: DescMethod): string {
  const noun = nounOf(method);
  const words = snake(method.name);
  const [verb = "", ...rest] = words.split("_");
  const object = rest.join("_");
  return `${noun}s.${object === noun || object === `${noun}s` ? verb : words}`;
}

function nounOf({ parent }: DescMethod): string {
  return snake(parent.name.replace(/Service$/, ""));
}

function snake(name: string): string {
  return name.replaceAll(/(?<=.)[A-Z]/g, (letter) => `_${letter}`).toLowerCase();
}
