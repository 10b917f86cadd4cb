/** What the tests of the stand-alone server share: requests in each vendor's manner, and their answers. */
import type { SimServer } from "../../src/sim/server/start-sim.ts";

export const headers = {
  "content-type": "application/json",
  authorization: "Bearer sk-test-0001",
  "x-api-key": "sk-test-0001",
  "x-goog-api-key": "sk-test-0001",
  "anthropic-version": "2023-06-01",
};

export const script = (value: unknown) => JSON.stringify({ sim_script: value });

export function send(sim: SimServer, path: string, body: unknown, init: { headers?: Record<string, string>; signal?: AbortSignal } = {}) {
  return fetch(sim.url + path, {
    method: "POST",
    redirect: "manual",
    headers: { ...headers, ...init.headers },
    body: typeof body === "string" ? body : JSON.stringify(body),
    ...(init.signal === undefined ? {} : { signal: init.signal }),
  });
}

export const chat = (text: string, rest: object = {}) => ({ model: "sim-any", messages: [{ role: "user", content: text }], ...rest });
export const claude = (text: string, rest: object = {}) => ({ ...chat(text), max_tokens: 4096, ...rest });
export const gemini = (text: string, rest: object = {}) => ({ contents: [{ role: "user", parts: [{ text }] }], ...rest });

/** One request per format, streamed and buffered. */
export const formats = [
  {
    format: "openai-chat",
    stream: true,
    ask: (sim: SimServer, text: string) => send(sim, "/v1/chat/completions", chat(text, { stream: true })),
  },
  { format: "openai-chat", stream: false, ask: (sim: SimServer, text: string) => send(sim, "/v1/chat/completions", chat(text)) },
  {
    format: "openai-responses",
    stream: true,
    ask: (sim: SimServer, text: string) => send(sim, "/v1/responses", { model: "m", input: text, stream: true }),
  },
  {
    format: "openai-responses",
    stream: false,
    ask: (sim: SimServer, text: string) => send(sim, "/v1/responses", { model: "m", input: text }),
  },
  {
    format: "anthropic-messages",
    stream: true,
    ask: (sim: SimServer, text: string) => send(sim, "/v1/messages", claude(text, { stream: true })),
  },
  { format: "anthropic-messages", stream: false, ask: (sim: SimServer, text: string) => send(sim, "/v1/messages", claude(text)) },
  {
    format: "gemini",
    stream: true,
    ask: (sim: SimServer, text: string) => send(sim, "/v1beta/models/m:streamGenerateContent?alt=sse", gemini(text)),
  },
  { format: "gemini", stream: false, ask: (sim: SimServer, text: string) => send(sim, "/v1beta/models/m:generateContent", gemini(text)) },
];

/** The JSON of the data lines of an SSE text. */
// biome-ignore lint/suspicious/noExplicitAny: wire records of four vendors
export function records(text: string): any[] {
  return text
    .split(/\r\n|\r|\n/)
    .filter((line) => line.startsWith("data: {"))
    .map((line) => JSON.parse(line.slice(6)));
}
