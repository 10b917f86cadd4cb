/** `dragoman limits list`: the rules that hold, of the configuration and of the store. */
import { type DescEnum, toJson } from "@bufbuild/protobuf";
import { createClient } from "@connectrpc/connect";
import {
  type Limit,
  LimitFallback,
  LimitFallbackSchema,
  LimitSchema,
  LimitService,
  LimitSubjectSchema,
} from "../../gen/dragoman/admin/v1/limit_service_pb.ts";
import type { Config } from "../config/schema.ts";
import { writeDollars } from "../core/money.ts";
import { writeCount, writeTable } from "./columns.ts";
import type { Command } from "./command.ts";
import { recordOptions, recordPlace, withRecords } from "./records.ts";

/** One rule, from wherever. Empty texts: every one of the kind. */
interface Rule {
  readonly id: string;
  readonly subject: string;
  readonly which: string;
  readonly limits: readonly string[];
  /** What holds while Redis is away; empty: the default. */
  readonly away: string;
  readonly enabled: boolean;
}

const list: Command = {
  name: "limits list",
  about: "list limits and budgets, of the configuration and of the store",
  options: recordOptions,
  details: `A rule takes a line for each of its limits. Rules of the configuration have no id; those of the store are made and changed by
dragoman.admin.v1.LimitService (docs/limits.md). --json writes the rules of the store as that service has them,
and those of the configuration with "source": "config".
${recordPlace}`,
  run: (input, terminal) =>
    withRecords(input, terminal, async ({ transport, config }) => {
      const client = createClient(LimitService, transport);
      const tenant = input.options.tenant ?? "";
      const stored: Limit[] = [];
      for (let pageToken = ""; ; ) {
        const page = await client.listLimits({ tenant, pageSize: 1_000, pageToken });
        stored.push(...page.limits);
        pageToken = page.nextPageToken;
        if (pageToken === "") break;
      }
      const configured = config.limits.rules.filter((rule) => rule.tenant === "*" || rule.tenant === (tenant || "default"));
      if (input.switches.has("json")) {
        for (const rule of configured) terminal.write(`${JSON.stringify({ source: "config", ...rule })}\n`);
        for (const limit of stored) terminal.write(`${JSON.stringify({ source: "store", ...(toJson(LimitSchema, limit) as object) })}\n`);
        return;
      }
      const rules = [...configured.map(ofConfig), ...stored.map(ofStore)];
      if (rules.length === 0) {
        terminal.write("there are no limits; set limits.rules in the configuration, or make one with LimitService.CreateLimit\n");
        return;
      }
      const columns = [
        { title: "ID", least: 12 },
        { title: "SUBJECT" },
        { title: "WHICH", least: 12 },
        { title: "LIMIT", isNumber: true },
        { title: "WITHOUT REDIS" },
        { title: "STATE" },
      ];
      terminal.write(writeTable(columns, rules.flatMap(linesOf)));
    }),
};

export const limitCommands: readonly Command[] = [list];

function linesOf({ id, subject, which, limits, away, enabled }: Rule): string[][] {
  const rest = [away || "default", enabled ? "on" : "off"];
  return limits.map((limit, index) => (index === 0 ? [id || "config", subject, which || "each", limit, ...rest] : ["", "", "", limit]));
}

const plainNames: Readonly<Record<string, string>> = {
  requests_per_second: "requests/s",
  requests_per_minute: "requests/min",
  input_tokens_per_minute: "input tokens/min",
  output_tokens_per_minute: "output tokens/min",
  tokens_per_minute: "tokens/min",
  bytes_per_minute: "bytes/min",
  concurrency: "at once",
  usd_per_day: "USD/day",
  usd_per_month: "USD/month",
};

function ofConfig(rule: Config["limits"]["rules"][number]): Rule {
  const limits = Object.entries(rule).flatMap(([name, value]) => {
    const unit = plainNames[name];
    return unit === undefined || value === undefined ? [] : [`${typeof value === "number" ? writeCount(value) : value} ${unit}`];
  });
  const { subject, id, shared_state_gone: away = "" } = rule;
  return { id: "", subject, which: id === "*" ? "" : id, limits, away, enabled: true };
}

function ofStore(limit: Limit): Rule {
  const money = { usd_per_day: limit.costNanoUsdPerDay, usd_per_month: limit.costNanoUsdPerMonth };
  const counts = {
    requests_per_second: limit.requestsPerSecond,
    requests_per_minute: limit.requestsPerMinute,
    input_tokens_per_minute: limit.inputTokensPerMinute,
    output_tokens_per_minute: limit.outputTokensPerMinute,
    tokens_per_minute: limit.tokensPerMinute,
    bytes_per_minute: limit.bytesPerMinute,
    concurrency: limit.concurrency,
  };
  const limits = [
    ...Object.entries(counts).flatMap(([name, value]) => (value === undefined ? [] : [`${writeCount(value)} ${plainNames[name]}`])),
    ...Object.entries(money).flatMap(([name, value]) => (value === undefined ? [] : [`${writeDollars(value)} ${plainNames[name]}`])),
  ];
  const away =
    limit.sharedStateGone === LimitFallback.UNSPECIFIED ? "" : nameOf(LimitFallbackSchema, limit.sharedStateGone).replaceAll("_", "-");
  const subject = nameOf(LimitSubjectSchema, limit.subject);
  return { id: limit.id, subject, which: limit.subjectId, limits, away, enabled: limit.enabled };
}

function nameOf({ value }: DescEnum, number: number): string {
  return value[number]?.localName.toLowerCase() ?? String(number);
}
