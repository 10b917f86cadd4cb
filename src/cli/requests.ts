/** `dragoman requests`: the latest calls, and those that come. */
import { toJson } from "@bufbuild/protobuf";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import { type Client, createClient } from "@connectrpc/connect";
import {
  GetRequestResponseSchema,
  RequestLogService,
  type RequestRecord,
  RequestRecordSchema,
  RequestStatus,
} from "../../gen/dragoman/admin/v1/request_log_service_pb.ts";
import { writeDollars } from "../core/money.ts";
import { type Column, layOut } from "./columns.ts";
import { type Arguments, type Command, readNumber, UsageError } from "./command.ts";
import { recordOptions, recordPlace, withRecords } from "./records.ts";
import { showRecord } from "./show-record.ts";
import { readTime } from "./since.ts";
import type { Terminal } from "./terminal.ts";

const statuses: Readonly<Record<string, RequestStatus>> = {
  success: RequestStatus.SUCCESS,
  error: RequestStatus.ERROR,
  timeout: RequestStatus.TIMEOUT,
  cancelled: RequestStatus.CANCELLED,
  blocked: RequestStatus.BLOCKED,
};

const columns: readonly Column[] = [
  { title: "TIME" },
  { title: "STATUS", least: 9 },
  { title: "MODEL", least: 14 },
  { title: "IN", isNumber: true },
  { title: "OUT", isNumber: true },
  { title: "MS", isNumber: true },
  { title: "USD", isNumber: true },
  { title: "ID" },
];

/** What rows that come later are likely to need. */
const widthsToCome = [8, 12, 18, 5, 5, 6, 8, 26];

const pageSize = 1_000;

export const requests: Command = {
  name: "requests",
  about: "show the latest calls, or one of them",
  positionals: "[ID]",
  maxPositionals: 1,
  options: {
    last: { value: "N", about: "how many; 20 by default" },
    follow: { about: "go on with those that come, until Ctrl-C" },
    status: { value: "LIST", about: `of ${Object.keys(statuses).join(", ")}` },
    error: { value: "CODE", about: "only this error code, as rate_limited" },
    model: { value: "TEXT", about: "only models whose name has this in it" },
    provider: { value: "NAME", about: "only this provider" },
    "key-id": { value: "ID", about: "only this key" },
    project: { value: "NAME", about: "only this project" },
    user: { value: "ID", about: "only this end user" },
    session: { value: "ID", about: "only this session" },
    agent: { value: "NAME", about: "only this caller agent" },
    surface: { value: "NAME", about: "only this surface, as openai" },
    since: { value: "WHEN", about: "a date, a time, or a span back as 24h" },
    until: { value: "WHEN", about: "the same" },
    ...recordOptions,
  },
  details: `The newest stands last. IN and OUT are tokens, MS how long the call took, USD its cost (- where no price
is known); times are UTC. With an ID, what there is to know of that call, with its content where request_log in the
configuration lets it be kept. --json has every field.
${recordPlace}`,
  run: (input, terminal) =>
    withRecords(input, terminal, async ({ transport }) => {
      const client = createClient(RequestLogService, transport);
      const [requestId] = input.positionals;
      if (requestId === undefined) await showLatest(client, input, terminal);
      else await showOne(client, requestId, input, terminal);
    }),
};

async function showOne(client: Client<typeof RequestLogService>, requestId: string, input: Arguments, { write }: Terminal): Promise<void> {
  const found = await client.getRequest({ tenant: input.options.tenant ?? "", requestId });
  write(input.switches.has("json") ? `${JSON.stringify(toJson(GetRequestResponseSchema, found))}\n` : showRecord(found));
}

async function showLatest(client: Client<typeof RequestLogService>, input: Arguments, terminal: Terminal): Promise<void> {
  const { options, switches } = input;
  const tenant = options.tenant ?? "";
  const filter = readFilter(input);
  const most = options.last === undefined ? 20 : readNumber(options.last, "last", "requests");
  const follow = switches.has("follow");
  // Listened for before the list is read, so that nothing falls between the two; what is in both is shown once.
  const coming = follow ? client.watchRequests({ tenant, filter }, { timeoutMs: 0 }) : undefined;
  const latest = await readLatest(client, tenant, filter, most);
  const printer = switches.has("json") ? jsonPrinter(terminal) : tablePrinter(latest, follow, terminal);
  for (const record of latest) printer(record);
  if (latest.length === 0 && !follow && !switches.has("json")) terminal.write("no calls fit\n");
  if (coming === undefined) return;
  const shown = new Set(latest.map((record) => record.requestId));
  // A store that is looked at now and then keeps no process alive by itself.
  const staying = setInterval(() => {}, 60_000);
  try {
    for await (const { request } of coming) if (request !== undefined && !shown.has(request.requestId)) printer(request);
  } finally {
    clearInterval(staying);
  }
}

/** Oldest first. */
async function readLatest(
  client: Client<typeof RequestLogService>,
  tenant: string,
  filter: ReturnType<typeof readFilter>,
  most: number,
): Promise<RequestRecord[]> {
  const found: RequestRecord[] = [];
  for (let pageToken = ""; found.length < most; ) {
    const page = await client.listRequests({ tenant, filter, pageSize: Math.min(pageSize, most - found.length), pageToken });
    found.push(...page.requests);
    pageToken = page.nextPageToken;
    if (pageToken === "") break;
  }
  return found.slice(0, most).reverse();
}

function readFilter({ options }: Arguments) {
  const words = (options.status ?? "").split(",").flatMap((word) => (word.trim() === "" ? [] : [word.trim()]));
  return {
    statuses: words.map((word) => {
      const status = statuses[word];
      if (status === undefined)
        throw new UsageError(`--status: "${word}" is unknown; there are ${Object.keys(statuses).join(", ")}`, "requests");
      return status;
    }),
    errorCode: options.error ?? "",
    model: options.model ?? "",
    provider: options.provider ?? "",
    keyId: options["key-id"] ?? "",
    project: options.project ?? "",
    endUserId: options.user ?? "",
    sessionId: options.session ?? "",
    callerAgent: options.agent ?? "",
    surface: options.surface ?? "",
    ...(options.since === undefined ? {} : { fromTime: readTime(options.since, "since", "requests") }),
    ...(options.until === undefined ? {} : { untilTime: readTime(options.until, "until", "requests") }),
  };
}

function jsonPrinter({ write }: Terminal): (record: RequestRecord) => void {
  return (record) => write(`${JSON.stringify(toJson(RequestRecordSchema, record))}\n`);
}

/** A head line, and a line for each day. */
function tablePrinter(known: readonly RequestRecord[], follow: boolean, { write }: Terminal): (record: RequestRecord) => void {
  const widths = follow ? widthsToCome : [];
  const line = layOut(
    columns.map((column, index) => ({ ...column, width: widths[index] ?? 0 })),
    known.map(rowOf),
  );
  let day = "";
  return (record) => {
    if (day === "") write(`${line(columns.map(({ title }) => title))}\n`);
    const date = timeOf(record).slice(0, 10);
    if (date !== day) write(`${date} UTC\n`);
    day = date;
    write(`${line(rowOf(record))}\n`);
  };
}

function rowOf(record: RequestRecord): string[] {
  const { upstreamModel, requestedModel, promptTokens, completionTokens, latencyMs, costNanoUsd, requestId } = record;
  return [
    timeOf(record).slice(11, 19),
    record.status === RequestStatus.SUCCESS ? "ok" : record.errorCode || nameOf(record.status),
    upstreamModel || requestedModel,
    promptTokens === undefined ? "-" : String(promptTokens),
    completionTokens === undefined ? "-" : String(completionTokens),
    String(Math.round(latencyMs)),
    costNanoUsd === undefined ? "-" : writeDollars(costNanoUsd),
    requestId,
  ];
}

function timeOf({ createTime }: RequestRecord): string {
  return new Date(createTime === undefined ? 0 : timestampMs(createTime)).toISOString();
}

function nameOf(status: RequestStatus): string {
  return Object.keys(statuses).find((name) => statuses[name] === status) ?? "-";
}
