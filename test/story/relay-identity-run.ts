/**
 * Promise 13 (reliability.md 1, X19): where client and provider speak the same format, the client gets the provider's bytes, and
 * a client's unknown fields get to the provider with every digit of their numbers. Bodies are made at random, beyond what numbers
 * of JavaScript hold.
 */
import { createHash } from "node:crypto";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { startGateway } from "./gateway.ts";
import { Random } from "./random.ts";

export interface IdentityReport {
  /** Answers that were compared, by format. */
  readonly compared: Readonly<Record<string, number>>;
  readonly bytes: number;
  /** A line for each body that came through as another one. */
  readonly changed: readonly string[];
}

interface Format {
  readonly name: string;
  readonly path: string;
  ask(text: string, more: string): string;
  /** Pieces of the answer; `more` gives random members, each after a comma. */
  answer(more: () => string, text: string): string;
}

const usage = (more: () => string) => `{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5${more()}}`;
const events = (...records: readonly (readonly [string, string])[]) =>
  records.map(([type, data]) => `event: ${type}\ndata: {"type":"${type}"${data}}\n\n`).join("");
const responseHead = (status: string, more: () => string) =>
  `"id":"resp_up1","object":"response","created_at":1700000000,"status":"${status}","model":"m"${more()}`;
const outputMessage = (text: string, more: () => string) =>
  `{"id":"msg_1","type":"message","status":"completed","role":"assistant","content":[{"type":"output_text","text":${text},"annotations":[],"logprobs":[]${more()}}]${more()}}`;
const countedResponse = (text: string, more: () => string) =>
  `{${responseHead("completed", more)},"output":[${outputMessage(text, more)}],"usage":{"input_tokens":3,"output_tokens":2,"total_tokens":5${more()}}}`;

const formats: readonly Format[] = [
  {
    name: "chat",
    path: "/v1/chat/completions",
    ask: (text, more) => `{"model":"chat/m","messages":[{"role":"user","content":"${text}"}]${more}}`,
    answer: (more, text) =>
      `{"id":"chatcmpl-1","object":"chat.completion","created":1700000000,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":${text}${more()}},"finish_reason":"stop"${more()}}],"usage":${usage(more)}${more()}}`,
  },
  {
    name: "chat, streamed",
    path: "/v1/chat/completions",
    ask: (text, more) =>
      `{"model":"chat/m","messages":[{"role":"user","content":"${text}"}],"stream":true,"stream_options":{"include_usage":true}${more}}`,
    answer(more, text) {
      const chunk = (choices: string, rest = "") =>
        `data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1700000000,"model":"m","choices":[${choices}]${rest}${more()}}\n\n`;
      return [
        chunk(`{"index":0,"delta":{"role":"assistant","content":""${more()}},"finish_reason":null}`),
        chunk(`{"index":0,"delta":{"content":${text}${more()}},"finish_reason":null${more()}}`),
        chunk('{"index":0,"delta":{},"finish_reason":"stop"}'),
        chunk("", `,"usage":${usage(more)}`),
        "data: [DONE]\n\n",
      ].join("");
    },
  },
  {
    name: "messages",
    path: "/v1/messages",
    ask: (text, more) => `{"model":"claude/m","max_tokens":99,"messages":[{"role":"user","content":"${text}"}]${more}}`,
    answer: (more, text) =>
      `{"id":"msg_1","type":"message","role":"assistant","model":"m","content":[{"type":"text","text":${text}${more()}}],"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":3,"output_tokens":2${more()}}${more()}}`,
  },
  {
    name: "messages, streamed",
    path: "/v1/messages",
    ask: (text, more) => `{"model":"claude/m","max_tokens":99,"stream":true,"messages":[{"role":"user","content":"${text}"}]${more}}`,
    answer: (more, text) =>
      events(
        [
          "message_start",
          `,"message":{"id":"msg_1","type":"message","role":"assistant","model":"m","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":3,"output_tokens":1${more()}}${more()}}`,
        ],
        ["content_block_start", `,"index":0,"content_block":{"type":"text","text":""${more()}}`],
        ["ping", more()],
        ["content_block_delta", `,"index":0,"delta":{"type":"text_delta","text":${text}${more()}}${more()}`],
        ["content_block_stop", `,"index":0${more()}`],
        ["message_delta", `,"delta":{"stop_reason":"end_turn","stop_sequence":null${more()}},"usage":{"output_tokens":2${more()}}`],
        ["message_stop", more()],
      ),
  },
  {
    name: "responses",
    path: "/v1/responses",
    ask: (text, more) => `{"model":"answers/m","input":"${text}","store":false${more}}`,
    answer: (more, text) => countedResponse(text, more),
  },
  {
    name: "responses, streamed",
    path: "/v1/responses",
    ask: (text, more) => `{"model":"answers/m","input":"${text}","store":false,"stream":true${more}}`,
    answer(more, text) {
      const at = `"output_index":0`;
      const part = `"item_id":"msg_1",${at},"content_index":0`;
      const empty = '{"type":"output_text","text":"","annotations":[],"logprobs":[]}';
      return events(
        ["response.created", `,"sequence_number":0,"response":{${responseHead("in_progress", more)},"output":[]}`],
        ["response.in_progress", `,"sequence_number":1,"response":{${responseHead("in_progress", more)},"output":[]}`],
        [
          "response.output_item.added",
          `,"sequence_number":2,${at},"item":{"id":"msg_1","type":"message","status":"in_progress","role":"assistant","content":[]${more()}}`,
        ],
        ["response.content_part.added", `,"sequence_number":3,${part},"part":${empty}${more()}`],
        ["response.output_text.delta", `,"sequence_number":4,${part},"delta":${text},"logprobs":[]${more()}`],
        ["response.output_text.done", `,"sequence_number":5,${part},"text":${text},"logprobs":[]${more()}`],
        ["response.content_part.done", `,"sequence_number":6,${part},"part":${empty.replace('""', text)}${more()}`],
        ["response.output_item.done", `,"sequence_number":7,${at},"item":${outputMessage(text, more)}`],
        ["response.completed", `,"sequence_number":8,"response":${countedResponse(text, more)}`],
      );
    },
  },
  {
    name: "gemini",
    path: "/v1beta/models/gem/m:generateContent",
    ask: (text, more) => `{"contents":[{"role":"user","parts":[{"text":"${text}"}]}]${more}}`,
    answer: (more, text) => geminiAnswer(more, text, true),
  },
  {
    name: "gemini, streamed",
    path: "/v1beta/models/gem/m:streamGenerateContent?alt=sse",
    ask: (text, more) => `{"contents":[{"role":"user","parts":[{"text":"${text}"}]}]${more}}`,
    answer: (more, text) => [false, true].map((isLast) => `data: ${geminiAnswer(more, text, isLast)}\r\n\r\n`).join(""),
  },
];

function geminiAnswer(more: () => string, text: string, isLast: boolean): string {
  const end = isLast ? ',"finishReason":"STOP"' : "";
  return `{"candidates":[{"content":{"parts":[{"text":${text}${more()}}],"role":"model"}${end},"index":0${more()}}],"usageMetadata":{"promptTokenCount":3,"candidatesTokenCount":2,"totalTokenCount":5${more()}},"modelVersion":"m","responseId":"r1"${more()}}`;
}

export async function runRelayIdentity({ seed, count }: { readonly seed: number; readonly count: number }): Promise<IdentityReport> {
  const random = new Random(seed);
  const answers = new Map<number, string>();
  const received = new Map<number, string>();
  const server = createServer((request, response) => {
    let text = "";
    request.setEncoding("utf8").on("data", (piece: string) => (text += piece));
    request.on("end", () => {
      const number = Number(/case-(\d+)/.exec(text)?.[1] ?? -1);
      received.set(number, text);
      const answer = answers.get(number);
      const type = answer?.startsWith("{") ? "application/json" : "text/event-stream";
      response.writeHead(answer === undefined ? 404 : 200, { "content-type": type }).end(answer ?? "{}");
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const gateway = await startGateway({
    config: {
      providers: {
        chat: { type: "openai", base_url: `${url}/v1`, api_key: "sk-identity-1" },
        answers: { type: "openai-responses", base_url: `${url}/v1`, api_key: "sk-identity-2" },
        claude: { type: "anthropic", base_url: url, api_key: "sk-ant-identity-3" },
        gem: { type: "gemini", base_url: `${url}/v1beta`, api_key: "AIza-identity-4" },
      },
    },
  });
  const compared: Record<string, number> = {};
  const changed: string[] = [];
  let bytes = 0;
  let next = 0;

  const compare = async (number: number): Promise<void> => {
    const format = formats[number % formats.length] as Format;
    const isStream = format.name.endsWith("streamed");
    const answer = format.answer(() => randomMembers(random), randomString(random));
    // Records are a line each; whole answers may be spread out.
    answers.set(number, isStream ? answer : spread(answer, random));
    const more = randomMembers(random);
    const response = await fetch(gateway.url + format.path, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: format.ask(`case-${number}`, more),
    });
    const got = Buffer.from(await response.arrayBuffer());
    const wanted = Buffer.from(answers.get(number) ?? "");
    bytes += got.length;
    compared[format.name] = (compared[format.name] ?? 0) + 1;
    if (hash(got) !== hash(wanted)) changed.push(`answer ${number} (${format.name}): ${differ(wanted.toString(), got.toString())}`);
    const lost = lostMembers(`{${more.slice(1)}}`, received.get(number) ?? "{}");
    if (lost.length > 0) changed.push(`request ${number} (${format.name}): ${lost.join()} of ${more.slice(1, 200)}`);
    answers.delete(number);
    received.delete(number);
  };
  const lane = async (): Promise<void> => {
    while (next < count) await compare(next++);
  };
  try {
    await Promise.all(Array.from({ length: 4 }, lane));
  } finally {
    await gateway.close();
    server.close();
    server.closeAllConnections();
  }
  return { compared, bytes, changed };
}

/** Names of members that did not arrive with their values. */
function lostMembers(sent: string, received: string): string[] {
  const [wanted, got] = [readExactly(sent), readExactly(received)];
  return Object.keys(wanted).filter((name) => JSON.stringify(wanted[name]) !== JSON.stringify(got[name]));
}

/** Numbers as texts that are equal where the numbers are. */
function readExactly(text: string): Record<string, unknown> {
  const read = (_: string, value: unknown, { source }: { source?: string }) =>
    typeof value === "number" ? decimalOf(source ?? "") : value;
  return (JSON.parse as (text: string, read: unknown) => Record<string, unknown>)(text, read);
}

function decimalOf(source: string): string {
  const [, sign = "", whole = "", fraction = "", exponent = "0"] = /^(-?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/.exec(source) ?? [];
  const digits = (whole + fraction).replace(/^0+/, "");
  const zeros = digits.length - digits.replace(/(?<!0)0+$/, "").length;
  return digits === "" ? "0" : `${sign}${digits.slice(0, digits.length - zeros)}e${Number(exponent) - fraction.length + zeros}`;
}

function hash(bytes: Buffer): string {
  return createHash("sha256").update(bytes).digest("hex");
}

function differ(wanted: string, got: string): string {
  let at = 0;
  while (at < wanted.length && wanted[at] === got[at]) at++;
  const around = (text: string) => JSON.stringify(text.slice(Math.max(0, at - 40), at + 60));
  return `at ${at}: ${around(wanted)} became ${around(got)}`;
}

const names = ["x_first", "x second", "x\\u00e9", "x-3", "x_new_thing", "xß"];

/** Members that no vendor has, each after a comma; often none. */
function randomMembers(random: Random): string {
  const from = random.below(names.length);
  const count = random.below(3);
  return names
    .slice(from, from + count)
    .map((name) => `,"${name}":${randomValue(random, 3)}`)
    .join("");
}

const numbers = ["0", "-0", "1.0", "1E5", "-12.50e-3", "9007199254740993", "18446744073709551616", "0.1000", "1e30"];

function randomValue(random: Random, depth: number): string {
  switch (random.below(depth === 0 ? 4 : 6)) {
    case 0:
      return `${random.below(9) + 1}${Array.from({ length: random.below(40) }, () => random.below(10)).join("")}`;
    case 1:
      return numbers[random.below(numbers.length)] ?? "0";
    case 2:
      return ["true", "false", "null"][random.below(3)] ?? "null";
    case 3:
      return randomString(random);
    case 4:
      return `[${Array.from({ length: random.below(4) }, () => randomValue(random, depth - 1)).join(",")}]`;
    default: {
      const members = Array.from({ length: random.below(4) }, (_, index) => `"${9 - index}k":${randomValue(random, depth - 1)}`);
      return `{${members.join(",")}}`;
    }
  }
}

const pieces = [
  "a",
  "Grüezi ",
  "世界",
  "🎉",
  "\\n",
  "\\u0041",
  "\\/",
  "/",
  "\\ud83c\\udf89",
  '\\"',
  "\\\\",
  " ",
  "data: ",
  "{",
  "}",
  "[DONE]",
  "\\u0000",
];

function randomString(random: Random): string {
  return `"${Array.from({ length: 1 + random.below(8) }, () => pieces[random.below(pieces.length)]).join("")}"`;
}

/** With white space where JSON allows it, outside strings. */
function spread(json: string, random: Random): string {
  const spaces = ["", "", "", " ", "\n  ", "\t"];
  return json.replace(/"(?:[^"\\]|\\.)*"|[,:{}[\]]/g, (token) =>
    token.startsWith('"') ? token : token + (spaces[random.below(spaces.length)] ?? ""),
  );
}
