/** dragoman.admin.v1.LimitService. */
import { create } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import type { ServiceImpl } from "@connectrpc/connect";
import {
  type Limit,
  type LimitedCall,
  LimitFallback,
  LimitSchema,
  type LimitService,
  LimitSubject,
  type LimitUsage,
  LimitUsageSchema,
} from "../../../gen/dragoman/admin/v1/limit_service_pb.ts";
import { GatewayError, invalidField } from "../../core/error.ts";
import { ulid } from "../../core/id.ts";
import type { LimitRuleRecord, LimitRuleStore } from "../../core/limit-rule-store.ts";
import {
  type LimitFallback as FallbackName,
  hasBudgets,
  type LimitDesk,
  type LimitFacts,
  type LimitField,
  type LimitLevel,
  type LimitSettings,
  limitFields,
  limitSubjects,
  type LimitSubject as SubjectName,
} from "../../core/limits.ts";
import { adminCallOf } from "./admin-call.ts";
import { readPage } from "./page.ts";
import { writeTime } from "./timestamp.ts";
import { readUpdateMask } from "./update-mask.ts";

export interface LimitServiceOptions {
  readonly limitRules: LimitRuleStore;
  readonly desk: LimitDesk;
}

const subjects: Readonly<Record<SubjectName, LimitSubject>> = {
  tenant: LimitSubject.TENANT,
  project: LimitSubject.PROJECT,
  owner: LimitSubject.OWNER,
  key: LimitSubject.KEY,
  end_user: LimitSubject.END_USER,
  model: LimitSubject.MODEL,
  route: LimitSubject.ROUTE,
};

const fallbacks: Readonly<Record<FallbackName, LimitFallback>> = {
  closed: LimitFallback.CLOSED,
  "local-share": LimitFallback.LOCAL_SHARE,
  open: LimitFallback.OPEN,
};

/** The contract's field for each limit. */
const messageFields = {
  requests_per_second: "requestsPerSecond",
  requests_per_minute: "requestsPerMinute",
  input_tokens_per_minute: "inputTokensPerMinute",
  output_tokens_per_minute: "outputTokensPerMinute",
  tokens_per_minute: "tokensPerMinute",
  bytes_per_minute: "bytesPerMinute",
  concurrency: "concurrency",
  cost_nano_usd_per_day: "costNanoUsdPerDay",
  cost_nano_usd_per_month: "costNanoUsdPerMonth",
} as const satisfies Record<LimitField, keyof Limit>;

const fields = Object.keys(limitFields) as LimitField[];

export function createLimitService({ limitRules, desk }: LimitServiceOptions): ServiceImpl<typeof LimitService> {
  return {
    async createLimit({ tenant: named, limit }, context) {
      const call = adminCallOf(context);
      const tenant = call.tenant(named);
      const wanted = required(limit);
      const id = wanted.id === "" ? ulid().toLowerCase() : wanted.id;
      call.about({ kind: "limit", id, tenant });
      const settings = readSettings(wanted);
      refuseEmpty(settings);
      const subjectKind = nameOf(subjects, wanted.subject) ?? limitSubjects[0];
      refuseBudget(subjectKind, settings);
      const rule = { id, subjectKind, subjectId: wanted.subjectId, settingsJson: JSON.stringify(settings), enabled: true };
      const written = writeLimit(await limitRules.create(tenant, rule));
      call.changed(LimitSchema, undefined, written);
      await desk.rulesChanged();
      return { limit: written };
    },

    async getLimit({ tenant: named, id }, context) {
      const tenant = adminCallOf(context).tenant(named);
      return { limit: writeLimit(await find(tenant, id)) };
    },

    async listLimits(request, context) {
      const tenant = adminCallOf(context).tenant(request.tenant);
      const filter = { subjectKind: nameOf(subjects, request.subject), subjectId: request.subjectId || undefined };
      const { items, next = "" } = await limitRules.list(tenant, filter, readPage(request));
      return { limits: items.map(writeLimit), nextPageToken: next };
    },

    async updateLimit({ tenant: named, limit, updateMask, etag }, context) {
      const call = adminCallOf(context);
      const tenant = call.tenant(named);
      const wanted = required(limit);
      const mask = readUpdateMask(updateMask, [...fields, "shared_state_gone", "enabled"]);
      call.about({ kind: "limit", id: wanted.id, tenant, details: { fields: [...mask] } });
      const before = await find(tenant, wanted.id);
      const settings: { -readonly [Name in keyof LimitSettings]: LimitSettings[Name] } = { ...desk.readSettings(before) };
      const said = readSettings(wanted);
      for (const field of fields) if (mask.has(field)) settings[field] = said[field];
      if (mask.has("shared_state_gone")) settings.shared_state_gone = said.shared_state_gone;
      refuseEmpty(settings);
      refuseBudget(before.subjectKind, settings);
      const changes = { settingsJson: JSON.stringify(settings), ...(mask.has("enabled") ? { enabled: wanted.enabled } : {}) };
      // What was read is what is changed: without an etag of the caller's the record's own keeps two changes apart.
      const after = writeLimit(await limitRules.update(tenant, wanted.id, changes, etag || before.etag));
      call.changed(LimitSchema, writeLimit(before), after);
      await desk.rulesChanged();
      return { limit: after };
    },

    async deleteLimit({ tenant: named, id, etag }, context) {
      const call = adminCallOf(context);
      const tenant = call.tenant(named);
      call.about({ kind: "limit", id, tenant });
      const before = await limitRules.get(tenant, id);
      await limitRules.delete(tenant, id, etag || undefined);
      call.changed(LimitSchema, before === undefined ? undefined : writeLimit(before), undefined);
      await desk.rulesChanged();
      return {};
    },

    async getLimitUsage({ tenant: named, call: limited }, context) {
      const tenant = adminCallOf(context).tenant(named);
      return { usages: (await desk.usage(factsOf(tenant, limited))).map(writeUsage) };
    },

    async resetLimitUsage({ tenant: named, call: limited, limitId }, context) {
      const call = adminCallOf(context);
      const tenant = call.tenant(named);
      call.about({ kind: "limit", id: limitId, tenant });
      return { usages: (await desk.reset(factsOf(tenant, limited), limitId)).map(writeUsage) };
    },
  };

  async function find(tenant: string, id: string): Promise<LimitRuleRecord> {
    const record = await limitRules.get(tenant, id);
    if (record === undefined) throw new GatewayError("not_found", `there is no limit "${id.slice(0, 64)}"`);
    return record;
  }

  function writeLimit(record: LimitRuleRecord): Limit {
    const { id, tenant, subjectId, enabled, etag } = record;
    const settings = desk.readSettings(record);
    const limit = create(LimitSchema, {
      id,
      tenant,
      subject: limitSubjects.includes(record.subjectKind as SubjectName)
        ? subjects[record.subjectKind as SubjectName]
        : LimitSubject.UNSPECIFIED,
      subjectId,
      enabled,
      etag,
      createTime: writeTime(record.createdAt),
      updateTime: writeTime(record.updatedAt),
    });
    for (const field of fields) {
      const value = settings[field];
      if (value !== undefined) limit[messageFields[field]] = BigInt(value);
    }
    if (settings.shared_state_gone !== undefined) limit.sharedStateGone = fallbacks[settings.shared_state_gone];
    return limit;
  }
}

function readSettings(limit: Limit): LimitSettings {
  const settings: { -readonly [Name in keyof LimitSettings]: LimitSettings[Name] } = {};
  for (const field of fields) {
    const value = limit[messageFields[field]];
    if (value !== undefined) settings[field] = Number(value);
  }
  settings.shared_state_gone = nameOf(fallbacks, limit.sharedStateGone);
  return settings;
}

function refuseEmpty(settings: LimitSettings): void {
  if (fields.every((field) => settings[field] === undefined)) {
    throw invalidField("limit", "sets no limit; give one, as requests_per_minute, or delete it");
  }
}

function refuseBudget(subjectKind: string, settings: LimitSettings): void {
  const budget = budgetFields.find((field) => settings[field] !== undefined);
  if (budget === undefined || limitSubjects.every((subject) => subject !== subjectKind || hasBudgets(subject))) return;
  throw invalidField(`limit.${budget}`, `cannot be set for ${subjectKind}; set it for each key, or for the project`);
}

const budgetFields = fields.filter((field) => limitFields[field].metric === "cost");

function required(limit: Limit | undefined): Limit {
  if (limit === undefined) throw invalidField("limit", "is required");
  return limit;
}

/** The name of an enum's value; undefined for unspecified. */
function nameOf<Name extends string, Value>(names: Readonly<Record<Name, Value>>, value: Value): Name | undefined {
  return (Object.keys(names) as Name[]).find((name) => names[name] === value);
}

function factsOf(tenant: string, call: LimitedCall | undefined): LimitFacts {
  const { project = "", owner = "", key = "", endUser = "", model = "", route = "" } = call ?? {};
  const bare = model.includes("/") ? [model, model.slice(model.indexOf("/") + 1)] : [model];
  return { tenant, project, owner, key, endUser, models: model === "" ? [] : bare, route };
}

function writeUsage({ rule, subject, subjectId, field, limit, remaining, resetMs }: LimitLevel): LimitUsage {
  return create(LimitUsageSchema, {
    limitId: rule,
    subject: subjects[subject],
    subjectId,
    field,
    limit: BigInt(limit),
    remaining: BigInt(remaining),
    ...(limitFields[field].metric === "concurrency" ? {} : { resetAfter: durationFromMs(Math.ceil(resetMs)) }),
  });
}
