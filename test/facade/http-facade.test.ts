import { once } from "node:events";
import { request as httpRequest } from "node:http";
import { gzipSync } from "node:zlib";
import { describe, expect, test, vi } from "vitest";
import { BlockKind, FinishReason } from "../../gen/dragoman/v1/generate_pb.ts";
import { GatewayError, type Reason, reasons } from "../../src/core/error.ts";
import { type EventBatch, EventBuilder, finishedEvent, startedEvent } from "../../src/core/event.ts";
import { type Generate, hello, json, post, startFacade } from "./fake-facade.ts";

const chat = { model: "m", messages: [{ role: "user", content: "hi" }] };

/** The records of a stream, `[DONE]` included. */
async function records(response: Response): Promise<string[]> {
  const text = await response.text();
  expect(text.endsWith("\n\n")).toBe(true);
  return text
    .slice(0, -2)
    .split("\n\n")
    .map((record) => {
      expect(record).toMatch(/^data: /);
      return record.slice(6);
    });
}

describe("chat completions, streamed", () => {
  test("SSE-1: bytes, key order, one finish chunk with the reason kept, [DONE] last", async () => {
    const response = await post(`${await startFacade()}/v1/chat/completions`, { ...chat, stream: true });
    expect(response.status).toBe(200);
    expect(response.headers.get("content-type")).toMatch(/^text\/event-stream/);
    expect(response.headers.get("cache-control")).toBe("no-cache");
    expect(response.headers.get("x-accel-buffering")).toBe("no");
    const all = await records(response);
    expect(all.at(-1)).toBe("[DONE]");
    const chunks = all.slice(0, -1).map((record) => JSON.parse(record));
    for (const chunk of chunks) {
      expect(Object.keys(chunk)).toEqual(["id", "object", "created", "model", "choices"]);
      expect(chunk).toMatchObject({ id: "chatcmpl-up", object: "chat.completion.chunk", model: "m" });
    }
    expect(chunks.map((chunk) => chunk.choices[0])).toEqual([
      { index: 0, delta: { role: "assistant", content: "" }, finish_reason: null },
      { index: 0, delta: { content: "Hel" }, finish_reason: null },
      { index: 0, delta: { content: "lo" }, finish_reason: null },
      { index: 0, delta: {}, finish_reason: "length" },
    ]);
  });

  test("SSE-2: usage only where it is asked for", async () => {
    const response = await post(`${await startFacade()}/v1/chat/completions`, {
      ...chat,
      stream: true,
      stream_options: { include_usage: true },
    });
    const chunks = (await records(response)).slice(0, -1).map((record) => JSON.parse(record));
    expect(chunks.slice(0, -1).every((chunk) => chunk.usage === null)).toBe(true);
    expect(chunks.at(-1)).toMatchObject({ choices: [], usage: { prompt_tokens: 3, completion_tokens: 2, total_tokens: 5 } });
  });

  test("SSE-3: a failure before the first byte has a real status, one after it is a record without [DONE]", async () => {
    const overloaded = new GatewayError("provider_error", "the provider is overloaded");
    const early = await post(
      `${await startFacade({
        // biome-ignore lint/correctness/useYield: it fails before it could
        async *generate() {
          throw overloaded;
        },
      })}/v1/chat/completions`,
      { ...chat, stream: true },
    );
    expect(early.status).toBe(502);
    expect(await early.json()).toMatchObject({
      error: { type: "server_error", message: "the provider is overloaded" },
      error_kind: "network_error",
    });

    const late = await post(
      `${await startFacade({
        async *generate() {
          yield (await hello().next()).value as EventBatch;
          throw overloaded;
        },
      })}/v1/chat/completions`,
      { ...chat, stream: true },
    );
    expect(late.status).toBe(200);
    const all = await records(late);
    expect(JSON.parse(all.at(-1) as string)).toMatchObject({ error: { type: "server_error", message: "the provider is overloaded" } });
    expect(all).not.toContain("[DONE]");
  });

  test("SSE-4: the first chunk leaves before the provider's second", async () => {
    const gate = Promise.withResolvers<void>();
    const url = await startFacade({
      async *generate() {
        const source = hello();
        yield (await source.next()).value as EventBatch;
        await gate.promise;
        yield* source;
      },
    });
    const response = await post(`${url}/v1/chat/completions`, { ...chat, stream: true });
    const reader = response.body?.getReader();
    const first = await reader?.read();
    expect(Buffer.from(first?.value ?? []).toString()).toContain("Hel");
    gate.resolve();
    await reader?.cancel();
  });

  test("SSE-5: a client that leaves stops the call, before the first byte and in the middle", async () => {
    const reasonsSeen: string[] = [];
    const stall: Generate = async function* (request, call) {
      if (request.model === "mid") yield (await hello().next()).value as EventBatch;
      await new Promise<void>((resolve) => call.signal.addEventListener("abort", () => resolve()));
      reasonsSeen.push(call.signal.reason.reason);
      throw call.signal.reason;
    };
    const url = await startFacade({ generate: stall });
    for (const [index, model] of ["early", "mid"].entries()) {
      const stop = new AbortController();
      const response = fetch(`${url}/v1/chat/completions`, {
        method: "POST",
        headers: json,
        body: JSON.stringify({ ...chat, model, stream: true }),
        signal: stop.signal,
      });
      if (model === "mid") await (await response).body?.getReader().read();
      else await new Promise((resolve) => setTimeout(resolve, 50));
      stop.abort();
      await response.catch(() => undefined);
      await vi.waitFor(() => expect(reasonsSeen).toHaveLength(index + 1), { timeout: 2_000, interval: 5 });
    }
    expect(reasonsSeen).toEqual(["cancelled", "cancelled"]);
  });

  test("a reader that stops reading stops the source", async () => {
    let made = 0;
    const url = await startFacade({
      async *generate() {
        yield (await hello().next()).value as EventBatch;
        const events = new EventBuilder();
        for (; made < 2_000; made++) {
          events.text(0, 0, "x".repeat(64 << 10));
          yield { events: events.take() };
        }
      },
    });
    const { hostname, port } = new URL(url);
    const sent = httpRequest({ hostname, port, path: "/v1/chat/completions", method: "POST", headers: json });
    sent.end(JSON.stringify({ ...chat, stream: true }));
    const [response] = await once(sent, "response");
    response.pause();
    let before = -1;
    await vi.waitFor(
      () => {
        const now = made;
        const still = now === before;
        before = now;
        expect(still).toBe(true);
      },
      { timeout: 5_000, interval: 200 },
    );
    // What the sockets' buffers hold, and not the 128 MB that the source has.
    expect(made).toBeLessThan(1_000);
    response.destroy();
  });

  test("N4: default_stream streams where the client does not say", async () => {
    const url = await startFacade({ defaultStream: true });
    expect((await post(`${url}/v1/chat/completions`, chat)).headers.get("content-type")).toMatch(/event-stream/);
    expect((await post(`${url}/v1/chat/completions`, { ...chat, stream: false })).headers.get("content-type")).toBe("application/json");
  });
});

describe("chat completions, buffered", () => {
  test("SSE-6: says what the folded stream says", async () => {
    const response = await post(`${await startFacade()}/v1/chat/completions`, chat, { "x-request-id": "mine-1" });
    expect(await response.json()).toMatchObject({
      id: "chatcmpl-up",
      object: "chat.completion",
      model: "m",
      choices: [{ index: 0, message: { role: "assistant", content: "Hello" }, finish_reason: "length" }],
      usage: { prompt_tokens: 3, completion_tokens: 2, total_tokens: 5 },
    });
    expect(response.headers.get("x-request-id")).toBe("mine-1");
    expect(response.headers.get("x-dragoman-request-id")).toMatch(/^[0-9A-Z]{26}$/);
    expect(response.headers.get("x-dragoman-provider")).toBe("p");
    expect(response.headers.get("x-dragoman-used-fallback")).toBe("false");
  });

  test("what could not be carried is named in the client's words", async () => {
    const url = await startFacade({
      async *generate(_, call) {
        call.translation.push({
          $typeName: "dragoman.v1.TranslationNote",
          action: 1,
          path: "sampling.max_output_tokens",
          format: "x",
          detail: "",
          clientPath: "",
        });
        yield* hello();
      },
    });
    const response = await post(`${url}/v1/chat/completions`, chat);
    expect(response.headers.get("x-dragoman-translation")).toBe('dropped;path="max_completion_tokens"');
  });
});

test("a model whose name is in another script is served, and its header is percent-encoded", async () => {
  const url = await startFacade({
    async *generate() {
      const events = new EventBuilder();
      events.push(startedEvent({ provider: "p", node: "p/模型" }));
      events.text(0, events.startBlock(0, BlockKind.TEXT), "ok");
      events.endOpenBlocks();
      events.push(finishedEvent({ reason: FinishReason.STOP }));
      yield { events: events.take() };
    },
  });
  for (const stream of [true, false]) {
    const response = await post(`${url}/v1/chat/completions`, { ...chat, model: "模型", stream });
    expect(response.status).toBe(200);
    expect(response.headers.get("x-dragoman-node")).toBe("p/%E6%A8%A1%E5%9E%8B");
    expect(await response.text()).toContain("ok");
  }
});

test("V1-2: embeddings in floats and in base64, which SDKs ask for", async () => {
  const url = await startFacade();
  const floats = await (await post(`${url}/v1/embeddings`, { model: "v", input: ["a", "b"] })).json();
  expect(floats).toMatchObject({
    object: "list",
    model: "vectors",
    data: [0, 1].map((index) => ({ object: "embedding", index, embedding: [0.5, -1] })),
    usage: { prompt_tokens: 4, total_tokens: 4 },
  });
  const packed = await (await post(`${url}/v1/embeddings`, { model: "v", input: "a", encoding_format: "base64" })).json();
  const bytes = Buffer.from(packed.data[0].embedding, "base64");
  expect([bytes.readFloatLE(0), bytes.readFloatLE(4)]).toEqual([0.5, -1]);
});

test("models: the list, and one whose id holds a slash, encoded or not", async () => {
  const url = await startFacade();
  const list = await (await fetch(`${url}/v1/models`)).json();
  expect(list).toMatchObject({
    object: "list",
    data: [{ id: "smart", object: "model", context_window: 1000 }, { id: "meta-llama/Llama-3" }, { id: "llama3:8b" }],
  });
  for (const path of ["meta-llama/Llama-3", "meta-llama%2FLlama-3"]) {
    expect(await (await fetch(`${url}/v1/models/${path}`)).json()).toMatchObject({ id: "meta-llama/Llama-3" });
  }
  expect(await (await fetch(`${url}/v1/models/llama3:8b`)).json()).toMatchObject({ id: "llama3:8b" });
  const missing = await fetch(`${url}/v1/models/none`);
  expect(missing.status).toBe(404);
  expect(await missing.json()).toMatchObject({ error: { code: "model_not_found" } });
});

describe("credentials", () => {
  test.each([
    ["authorization", { authorization: "Bearer k-1" }, ""],
    ["x-api-key", { "x-api-key": "k-1" }, ""],
    ["x-goog-api-key", { "x-goog-api-key": "k-1" }, ""],
    ["api-key", { "api-key": "k-1" }, ""],
    ["x-dragoman-api-key", { "x-dragoman-api-key": "k-1" }, ""],
    ["?key=", {}, "?key=k-1"],
    ["authorization before the others", { authorization: "Bearer k-1", "x-api-key": "other" }, ""],
  ])("%s", async (_, headers, query) => {
    const url = await startFacade({ keys: { "k-1": ["*"] } });
    expect((await post(`${url}/v1/chat/completions${query}`, chat, headers)).status).toBe(200);
  });

  test("none or a wrong one is 401 before the body is looked at", async () => {
    const url = await startFacade({ keys: { "k-1": ["*"] } });
    for (const headers of [{}, { authorization: "Bearer k-2" }]) {
      const response = await post(`${url}/v1/chat/completions`, "{not json", headers as Record<string, string>);
      expect(response.status).toBe(401);
      expect(await response.json()).toMatchObject({ error: { code: "invalid_api_key", type: "auth_error" }, error_kind: "auth_failed" });
    }
  });
});

describe("bad input", () => {
  const path = "/v1/chat/completions";
  const deep = `{"model":"m","messages":${"[".repeat(200_000)}`;
  const cases: [string, string, () => Promise<Response> | Response, number, string][] = [];
  const add = (name: string, status: number, message: string, run: (url: string) => Promise<Response>) =>
    cases.push([name, message, () => startFacade().then(run), status, message]);
  add("broken JSON", 400, "not valid JSON", (url) => post(url + path, '{"model": "m",'));
  add("duplicate keys", 400, 'the key "model" occurs twice', (url) => post(url + path, '{"model":"a","model":"b"}'));
  add("200 000 levels", 400, "nested deeper than 64", (url) => post(url + path, deep));
  add("invalid UTF-8", 400, "not UTF-8", (url) => post(url + path, Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x7d])));
  add("an empty body", 400, "the body is empty", (url) => post(url + path, ""));
  add("no object", 400, "must be an object", (url) => post(url + path, "[1]"));
  add("a wrong type", 400, "messages[0].content", (url) => post(url + path, { model: "m", messages: [{ role: "user", content: 5 }] }));
  add("no model", 400, "model", (url) => post(url + path, { messages: chat.messages }));
  add("a body over the limit", 413, "larger than 1048576", (url) => post(url + path, "x".repeat((1 << 20) + 1)));
  add("a gzip bomb", 413, "larger than", (url) => post(url + path, gzipSync(Buffer.alloc(64 << 20)), { "content-encoding": "gzip" }));
  add("a wrong content type", 415, "application/json", (url) => post(url + path, chat, { "content-type": "text/plain" }));
  add("an unknown encoding", 415, "content encoding", (url) => post(url + path, chat, { "content-encoding": "zip" }));
  add("an unknown path", 404, "nothing at POST /v1/filesX", (url) => post(`${url}/v1/filesX`, {}));
  add("a wrong method", 405, "DELETE is not allowed", (url) => fetch(url + path, { method: "DELETE" }));

  test.each(cases)("%s: %s", async (_, __, run, status, message) => {
    const response = await run();
    expect(response.status).toBe(status);
    if (status === 405) expect(response.headers.get("allow")).toBe("POST");
    const body = await response.json();
    expect(body.error.message).toContain(message);
    // C13: these keys, and param only where a field is at fault.
    expect(
      Object.keys(body.error)
        .filter((key) => key !== "param")
        .sort(),
    ).toEqual(["code", "message", "type"]);
    expect(body.error.type).toBe("invalid_request_error");
    expect(response.headers.get("x-dragoman-request-id")).not.toBeNull();
  });

  test("a wrong type names its field in param", async () => {
    const response = await post((await startFacade()) + path, {
      model: "m",
      messages: [{ role: "user", content: [{ type: "image_url", image_url: { url: 7 } }] }],
    });
    expect((await response.json()).error.param).toBe("messages[0].content[0].image_url.url");
  });

  test("the body limit counts what arrives, not what is announced, and the connection serves the next request", async () => {
    const url = await startFacade();
    const stream = new ReadableStream({
      start(controller) {
        for (let count = 0; count < 40; count++) controller.enqueue(new Uint8Array(64 << 10));
        controller.close();
      },
    });
    const response = await fetch(url + path, { method: "POST", headers: json, body: stream, duplex: "half" } as RequestInit);
    expect(response.status).toBe(413);
    expect((await post(url + path, chat)).status).toBe(200);
  });
});

describe("ERR-1: every reason has its status, and says what to do", () => {
  test.each(Object.keys(reasons) as Reason[])("%s", async (reason) => {
    const url = await startFacade({
      // biome-ignore lint/correctness/useYield: it fails before it could
      async *generate() {
        throw new GatewayError(reason, "why");
      },
    });
    const response = await post(`${url}/v1/chat/completions`, chat);
    expect(response.status).toBe(reasons[reason].status);
    expect(response.headers.get("x-dragoman-error-reason")).toBe(reason);
    expect(response.headers.get("x-should-retry")).toBe(String(reasons[reason].retryable));
    // ERR-3
    if (response.status === 429) expect(Number(response.headers.get("retry-after"))).toBeGreaterThanOrEqual(1);
    expect((await response.json()).error.message).toBe("why");
  });
});
