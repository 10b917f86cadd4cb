/** Loads over HTTP/1.1, as OpenAI's clients make them, run by load.c or its Node stand-in. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { streamModel, vectorCount } from "./answers.ts";
import { runProcess } from "./processes.ts";
import type { Server } from "./servers.ts";
import type { Tools } from "./upstream.ts";

/** Microseconds. */
export interface Spread {
  readonly count: number;
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

/** What a load saw. */
export interface LoadResult {
  /** Answered, rightly or wrongly. */
  readonly requests: number;
  readonly wrong: number;
  /** What was wrong with the first wrong answer; empty where all were right. */
  readonly firstWrong: string;
  readonly seconds: number;
  /** Of bodies. */
  readonly bytes: number;
  /** Stream records seen. */
  readonly markers: number;
  readonly latency: Spread;
  /** From the start of a request to the first byte of its body. */
  readonly firstByte: Spread;
  /** From the moment the upstream wrote a record to its arrival. */
  readonly chunk: Spread;
}

/** How hard to push. */
export interface Pressure {
  readonly connections: number;
  readonly seconds: number;
  /** Requests a second, whether or not earlier ones are answered; without it, one after the other on each connection. */
  readonly rate?: number;
  /** Requests after which the load ends early. */
  readonly total?: number;
}

export interface HttpLoad {
  readonly path: string;
  /** The body for a server's name of the model. */
  readonly body: (model: (upstreamModel: string) => string) => object;
  /** What the load program checks; its arguments. */
  readonly checks: (answers: string) => readonly string[];
}

const messages = [
  {
    role: "system",
    content: "You are an interpreter. Answer in the language of the question, in full sentences, and never leave anything out.",
  },
  {
    role: "user",
    content: "Who were the dragomans, where did they work, and what were they paid for? Give a short answer with one example.",
  },
  { role: "assistant", content: "They were interpreters and guides in the ports and courts of the Levant. Shall I go on?" },
  {
    role: "user",
    content: "Yes, and say what became of the office in the nineteenth century. Keep it under one hundred and twenty words.",
  },
];

const [system, ...turns] = messages;
const messagesConversation = { system: system?.content ?? "", messages: turns, max_tokens: 256 };

export const chatLoad: HttpLoad = {
  path: "/v1/chat/completions",
  body: (model) => ({ model: model("bench"), messages, temperature: 0.2, max_tokens: 256 }),
  checks: (answers) => [`contains=${join(answers, "chat.txt")}`],
};

/** A stream of `count` records at `pace` a second; pace 0 is a burst. */
export function streamLoad(count: number, pace: number): HttpLoad {
  return {
    path: "/v1/chat/completions",
    body: (model) => ({ model: model(streamModel(count, pace)), messages, stream: true, stream_options: { include_usage: true } }),
    checks: () => [`markers=${count}`],
  };
}

/** The same chat as Anthropic's clients ask for it: the upstream still speaks OpenAI's format. */
export const messagesLoad: HttpLoad = {
  path: "/v1/messages",
  body: (model) => ({ model: model("bench"), ...messagesConversation, temperature: 0.2 }),
  checks: chatLoad.checks,
};

export function messagesStreamLoad(count: number, pace: number): HttpLoad {
  return {
    path: "/v1/messages",
    body: (model) => ({ model: model(streamModel(count, pace)), ...messagesConversation, stream: true }),
    checks: (answers) => [`markers=${count}`, `end=${join(answers, "end-messages.txt")}`],
  };
}

export function embeddingsLoad(encoding: "float" | "base64"): HttpLoad {
  const input = Array.from(
    { length: vectorCount },
    (_, index) => `Sentence ${index} of a text about interpreters in the ports of the Levant.`,
  );
  return {
    path: "/v1/embeddings",
    body: (model) => ({ model: model("bench"), input, encoding_format: encoding }),
    checks: () => ['count="index":', `times=${vectorCount}`, `least=${encoding === "float" ? 300_000 : 130_000}`],
  };
}

/** The bytes of one request. */
function writeRequest(load: HttpLoad, server: Pick<Server, "port" | "headers" | "model">): string {
  const body = JSON.stringify(load.body(server.model));
  const headers = {
    host: `127.0.0.1:${server.port}`,
    "content-type": "application/json",
    accept: "*/*",
    "user-agent": "dragoman-bench",
    ...server.headers,
    "content-length": String(Buffer.byteLength(body)),
  };
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  return `POST ${load.path} HTTP/1.1\r\n${lines.join("")}\r\n${body}`;
}

/** Runs one load against one server. Throws where the load program itself fails. */
export async function runHttpLoad(
  tools: Tools,
  ground: { readonly directory: string; readonly answers: string; readonly loadCore: number | undefined },
  server: Pick<Server, "port" | "headers" | "model">,
  load: HttpLoad,
  pressure: Pressure,
): Promise<LoadResult> {
  const request = join(ground.directory, "request");
  writeFileSync(request, writeRequest(load, server));
  const settings = Object.entries(pressure).map(([key, value]) => `${key}=${value}`);
  const args = [...tools.load.args, `port=${server.port}`, `request=${request}`, ...settings, ...load.checks(ground.answers)];
  return runLoadProcess(tools.load.command, args, ground.loadCore, pressure.seconds);
}

/** Runs a load program to its end, which must come within 20 s after its time is up, and reads what it prints. */
export async function runLoadProcess(
  command: string,
  args: readonly string[],
  core: number | undefined,
  seconds: number,
): Promise<LoadResult> {
  const { code, stdout, stderr } = await runProcess(command, args, { core, timeoutMs: (seconds + 20) * 1000 });
  if (code !== 0) throw new Error(`the load program ended with ${code ?? "a signal"}: ${stderr.trim().split("\n").at(-1)}`);
  return JSON.parse(stdout) as LoadResult;
}
