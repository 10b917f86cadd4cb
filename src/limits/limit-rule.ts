/** Rules as operators write them, read. */
import { GatewayError } from "../core/error.ts";
import { isJsonObject, parseJson } from "../core/json.ts";
import type { LimitRuleRecord } from "../core/limit-rule-store.ts";
import {
  type LimitFallback,
  type LimitField,
  type LimitSettings,
  type LimitSubject,
  limitFallbacks,
  limitFields,
  limitSubjects,
  maxLimit,
} from "../core/limits.ts";

/** Every one of the kind, each by itself; every tenant, each by itself. */
export const every = "*";

export interface LimitRule {
  /** Unique in the tenant; those of the configuration begin with `config:`. */
  readonly id: string;
  /** A tenant's id, or `every`. */
  readonly tenant: string;
  readonly subject: LimitSubject;
  /** Which one, or `every`. */
  readonly subjectId: string;
  readonly settings: LimitSettings;
}

/** The limits of a rule, in a fixed order. */
export function limitsOf({ settings }: LimitRule): readonly (readonly [LimitField, number])[] {
  return fieldNames.flatMap((field) => {
    const limit = settings[field];
    return limit === undefined ? [] : [[field, limit] as const];
  });
}

const fieldNames = Object.keys(limitFields) as readonly LimitField[];

/** What holds for one of a rule's limits while the shared state is away. */
export function fallbackOf({ shared_state_gone: said }: LimitSettings, field: LimitField): LimitFallback {
  return said ?? (limitFields[field].metric === "cost" ? "closed" : "local-share");
}

/** What a stored rule's settings say. Throws GatewayError invalid_request naming the field. */
export function readSettings({ settingsJson }: Pick<LimitRuleRecord, "settingsJson">): LimitSettings {
  const stored = parseJson(settingsJson === "" ? "{}" : settingsJson);
  if (!isJsonObject(stored)) throw wrong("settings", "is no object");
  const settings: Partial<Record<LimitField, number>> & { shared_state_gone?: LimitFallback } = {};
  for (const [name, value] of Object.entries(stored)) {
    if (name === "shared_state_gone") {
      const fallback = limitFallbacks.find((word) => word === value);
      if (fallback === undefined) throw wrong(name, `must be one of ${limitFallbacks.join(", ")}`);
      settings.shared_state_gone = fallback;
      continue;
    }
    const field = fieldNames.find((known) => known === name);
    if (field === undefined) throw wrong(name, "is no limit");
    const limit = Number(value);
    if (!Number.isSafeInteger(limit) || limit < 1 || limit > maxLimit) throw wrong(name, `must be a whole number from 1 to ${maxLimit}`);
    settings[field] = limit;
  }
  return settings;
}

/** A stored rule; undefined where it is switched off or is of a kind that this program does not know. */
export function readRule(record: LimitRuleRecord): LimitRule | undefined {
  const subject = limitSubjects.find((kind) => kind === record.subjectKind);
  if (!record.enabled || subject === undefined) return undefined;
  const { id, tenant, subjectId } = record;
  return { id, tenant, subject, subjectId: subjectId === "" ? every : subjectId, settings: readSettings(record) };
}

function wrong(field: string, description: string): GatewayError {
  return new GatewayError("invalid_request", `${field} ${description}`, { fields: [{ field, description }] });
}
