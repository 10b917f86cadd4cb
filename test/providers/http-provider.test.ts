import { create } from "@bufbuild/protobuf";
import { describe, expect, onTestFinished, test } from "vitest";
import { EmbedRequestSchema } from "../../gen/dragoman/v1/embed_pb.ts";
import { SamplingSchema } from "../../gen/dragoman/v1/generate_pb.ts";
import type { AttemptCall } from "../../src/core/call.ts";
import { GatewayError } from "../../src/core/error.ts";
import type { GenerateEvent } from "../../src/core/event.ts";
import { Fold } from "../../src/core/fold.ts";
import type { Provider } from "../../src/core/provider.ts";
import { Secret } from "../../src/core/secret.ts";
import { HttpClient } from "../../src/providers/http-client.ts";
import { createHttpProvider, type HttpProviderOptions } from "../../src/providers/http-provider.ts";
import { readOpenAiModels } from "../../src/providers/model-list.ts";
import { ask, startCall, strict, targetOf } from "./calls.ts";
import { lengthCodec, lineCodec } from "./line-codec.ts";
import { type Answer, json, type LocalServer, startServer, until } from "./local-server.ts";

const key = "sk-canary-0123456789abcdefghijklmnop";

async function start(answer: Answer, options: Partial<HttpProviderOptions> = {}): Promise<{ server: LocalServer; provider: Provider }> {
  const server = await startServer(answer);
  const baseUrl = new URL(`${server.origin}/base/v1/`);
  const client = new HttpClient({ origin: baseUrl, allowPrivate: true, timeouts: { idleMs: 2_000 } });
  const provider = createHttpProvider({
    name: "lines",
    client,
    baseUrl,
    credential: { header: "authorization", scheme: "Bearer ", secret: new Secret(key) },
    userAgent: "dragoman/1.2.3",
    codec: lineCodec,
    embedCodec: lengthCodec,
    traits: () => ({}),
    ...options,
  });
  onTestFinished(() => provider.close());
  return { server, provider };
}

const stream = { "content-type": "text/event-stream" };
const target = targetOf("lines", "m1");

/** What the provider gave until it ended or failed. */
async function run(provider: Provider, call: AttemptCall, request = ask("hi")): Promise<{ batches: GenerateEvent[][]; error: unknown }> {
  const batches: GenerateEvent[][] = [];
  try {
    for await (const { events } of provider.generate?.(request, target, call) ?? []) batches.push([...events]);
    return { batches, error: undefined };
  } catch (error) {
    return { batches, error };
  }
}

function textOf(batches: GenerateEvent[][]): string {
  const part = new Fold().addAll(batches.flat()).response().candidates[0]?.message?.parts[0]?.part;
  return part?.case === "text" ? part.value : "";
}

describe("generate", () => {
  test("sends exactly the headers it means to", async () => {
    const { server, provider } = await start(
      (_request, response) => {
        response.writeHead(200, stream);
        response.end("data: [DONE]\n\n");
      },
      { headers: { "X-Team": "blue" } },
    );
    await run(provider, startCall({ traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01" }));
    const [request] = server.seen;
    expect(request?.url).toBe("/base/v1/say");
    expect(request?.body).toBe('{"model":"m1","stream":true}');
    const { host, connection, "content-length": length, ...sent } = request?.headers ?? {};
    expect(sent).toEqual({
      accept: "text/event-stream, application/json",
      "accept-encoding": "identity",
      authorization: `Bearer ${key}`,
      "content-type": "application/json",
      traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
      "user-agent": "dragoman/1.2.3",
      "x-codec": "lines",
      "x-team": "blue",
    });
    expect([host, connection, length]).toEqual([`127.0.0.1:${server.port}`, "keep-alive", "28"]);
  });

  test("gives one batch per read, and uses the socket again", async () => {
    let step: (() => void) | undefined;
    const { server, provider } = await start((_request, response) => {
      response.writeHead(200, { ...stream, "x-request-id": "up-1" });
      response.write('data: {"text":"a"}\n\ndata: {"text":"b"}\n\n');
      step = () => response.end('data: {"text":"c"}\n\ndata: [DONE]\n\ndata: {"text":"after the end"}\n\n');
    });
    const call = startCall();
    const batches: GenerateEvent[][] = [];
    for await (const { events } of provider.generate?.(ask("hi"), target, call) ?? []) {
      batches.push([...events]);
      step?.();
      step = undefined;
    }
    expect(batches.map((events) => events.map(({ event }) => event.case))).toEqual([
      ["started", "blockStarted", "blockDelta", "blockDelta"],
      ["blockDelta", "blockEnded", "finished"],
    ]);
    expect(textOf(batches)).toBe("abc");
    expect(call.attempt).toMatchObject({ httpStatus: 200, upstreamRequestId: "up-1" });
    await new Promise((resolve) => setTimeout(resolve, 20));
    const again = run(provider, startCall());
    await until(() => step !== undefined);
    step?.();
    expect(textOf((await again).batches)).toBe("abc");
    expect(server.sockets).toHaveLength(1);
  });

  test("asks for a whole answer where the client waits for one", async () => {
    const { server, provider } = await start((_request, response) => json(response, { text: "whole" }));
    const { batches, error } = await run(provider, startCall({ buffered: true }));
    expect(error).toBeUndefined();
    expect(batches).toHaveLength(1);
    expect(textOf(batches)).toBe("whole");
    expect(server.seen[0]?.body).toBe('{"model":"m1","stream":false}');
    expect(server.seen[0]?.headers.accept).toBe("application/json");
  });

  test("reports what could not be carried, and refuses it in strict mode without sending anything", async () => {
    const { server, provider } = await start((_request, response) => {
      response.writeHead(200, stream);
      response.end("data: [DONE]\n\n");
    });
    const request = { ...ask("hi"), sampling: create(SamplingSchema, { topK: 4 }) };
    const call = startCall();
    await run(provider, call, request);
    expect(call.translation.map(({ path }) => path)).toEqual(["sampling.top_k"]);
    expect(server.seen).toHaveLength(1);
    const { error } = await run(provider, startCall({ options: strict() }), request);
    expect(error).toMatchObject({ reason: "untranslatable", details: { fields: [{ field: "sampling.top_k" }] } });
    expect(server.seen).toHaveLength(1);
  });

  test("ends what was open before it throws: reset, end without mark, error record", async () => {
    const endings: [string, Answer, string][] = [
      [
        "reset",
        (_request, response) =>
          void response.write('data: {"text":"a"}\n\n', () => setTimeout(() => response.socket?.resetAndDestroy(), 20)),
        "broke the connection off",
      ],
      ["no end mark", (_request, response) => void response.end('data: {"text":"a"}\n\n'), "without an end mark"],
      ["error record", (_request, response) => void response.end('data: {"text":"a"}\n\ndata: {"error":"overloaded"}\n\n'), "overloaded"],
    ];
    for (const [what, end, message] of endings) {
      const { provider } = await start((request, response) => {
        response.writeHead(200, stream);
        return end(request, response);
      });
      const { batches, error } = await run(provider, startCall());
      const events = batches.flat();
      expect(textOf(batches), what).toBe("a");
      expect(events.at(-1)?.event, what).toMatchObject({ case: "blockEnded", value: { incomplete: true } });
      expect(error, what).toMatchObject({ reason: "provider_error", message: expect.stringContaining(message) });
    }
  });

  test("stops with the call, and closes the socket", async () => {
    const { server, provider } = await start((_request, response) => {
      response.writeHead(200, stream);
      response.write('data: {"text":"a"}\n\n');
    });
    const stop = new AbortController();
    const reason = new GatewayError("timeout", "the call took too long");
    const running = run(provider, startCall({ signal: stop.signal }));
    await until(() => server.seen.length === 1);
    await new Promise((resolve) => setTimeout(resolve, 30));
    stop.abort(reason);
    expect((await running).error).toBe(reason);
    await until(() => server.sockets[0]?.destroyed === true, 2_000);
  });

  test("leaving the loop closes the socket", async () => {
    const { server, provider } = await start((_request, response) => {
      response.writeHead(200, stream);
      response.write('data: {"text":"a"}\n\n');
    });
    for await (const _ of provider.generate?.(ask("hi"), target, startCall()) ?? []) break;
    await until(() => server.sockets[0]?.destroyed === true, 2_000);
  });
});

describe("answers that are none", () => {
  test.each([
    ["HTML for a stream", { "content-type": "text/html" }, "<html>", false, "answered with text/html instead of text/event-stream"],
    ["HTML for an answer", { "content-type": "text/html" }, "<html>", true, "answered with text/html instead of application/json"],
    ["a stream for an answer", stream, "data: [DONE]\n\n", true, "answered with text/event-stream instead of application/json"],
    [
      "an answer for a stream",
      { "content-type": "application/json" },
      '{"text":"a"}',
      false,
      "answered with application/json instead of text/event-stream",
    ],
    ["an error body with status 200", { "content-type": "application/json" }, '{"error":"no credit"}', true, "no credit"],
    ["an error body for a stream", { "content-type": "application/json" }, '{"error":"no credit"}', false, "no credit"],
  ])("%s", async (_what, headers, body, buffered, message) => {
    const { provider } = await start((_request, response) => {
      response.writeHead(200, headers);
      response.end(body);
    });
    const { batches, error } = await run(provider, startCall({ buffered }));
    expect(batches).toEqual([]);
    expect(error).toMatchObject({ reason: "provider_error", message: expect.stringContaining(message) });
  });

  test.each([301, 302, 303, 307, 308])("a redirect (%i) is not followed", async (status) => {
    const { server, provider } = await start((_request, response) => {
      response.writeHead(status, { location: "http://169.254.169.254/latest" });
      response.end();
    });
    const { error } = await run(provider, startCall());
    expect(error).toMatchObject({ reason: "provider_error", message: expect.stringContaining(`redirect (${status})`) });
    expect(server.seen).toHaveLength(1);
  });

  test("an error's body is read by the codec, cut at 64 KiB", async () => {
    const { provider } = await start((_request, response) => {
      response.writeHead(529, { "request-id": "e1" });
      response.end("x".repeat(1 << 20));
    });
    const call = startCall();
    const { error } = await run(provider, call);
    expect(error).toBeInstanceOf(GatewayError);
    expect((error as GatewayError).details.upstream?.message).toHaveLength(64 << 10);
    expect(call.attempt).toMatchObject({ httpStatus: 529, upstreamRequestId: "e1" });
  });

  test("no error holds the key, whatever the provider repeats", async () => {
    const echoes: Answer[] = [
      (_request, response) => json(response, { message: `Incorrect API key provided: ${key}` }, 401),
      (_request, response) => json(response, { message: `key ${key.slice(0, 14)}****mnop is wrong` }, 401),
      (_request, response) => json(response, { message: Buffer.from(key).toString("base64") }, 500),
      (_request, response) => {
        response.writeHead(200, stream);
        response.end(`data: ${JSON.stringify({ error: `bad ${key}` })}\n\n`);
      },
      (_request, response) => json(response, { error: `bad ${key}` }),
      (_request, response) => void response.socket?.destroy(),
    ];
    for (const echo of echoes) {
      const { provider } = await start(echo);
      const { error } = await run(provider, startCall());
      expect(error).toBeInstanceOf(GatewayError);
      const { message, details, stack, cause } = error as GatewayError;
      const all = `${message} ${stack} ${JSON.stringify(details)} ${String(cause)}`;
      expect(all).not.toContain(key.slice(0, 12));
      expect(all).not.toContain(Buffer.from(key).toString("base64").slice(0, 16));
    }
  });
});

describe("credentials among the configured headers", () => {
  test("are kept out of errors too", async () => {
    const { provider } = await start((_request, response) => json(response, { message: "token canary-token-0123456789 is wrong" }, 401), {
      credential: undefined,
      headers: { authorization: "Token canary-token-0123456789" },
    });
    const { error } = await run(provider, startCall());
    expect((error as GatewayError).message).toContain("[secret]");
    expect(JSON.stringify((error as GatewayError).details)).not.toContain("canary-token");
  });
});

describe("embed", () => {
  const texts = (count: number) =>
    create(EmbedRequestSchema, {
      model: "m1",
      inputs: Array.from({ length: count }, (_, index) => ({ input: { case: "text" as const, value: "x".repeat(index + 1) } })),
    });
  const measure: Answer = async ({ body }, response) => {
    const lengths = (JSON.parse(body) as string[]).map(({ length }) => length);
    // Later parts answer first, so that order is the provider's doing.
    await new Promise((resolve) => setTimeout(resolve, Math.max(0, 30 - (lengths[0] ?? 0))));
    json(response, lengths);
  };

  test("case 40: splits, joins in order and adds the usage up", async () => {
    const { server, provider } = await start(measure);
    const response = await provider.embed?.(texts(17), target, startCall());
    expect(server.seen).toHaveLength(6);
    expect(response?.embeddings.map(({ index, values }) => [index, values[0]])).toEqual(
      Array.from({ length: 17 }, (_, index) => [index, index + 1]),
    );
    expect(response?.usage?.inputTokens).toBe(17);
  });

  test("too few or too many vectors are a provider error", async () => {
    for (const lengths of [[1], [1, 2, 3, 4]]) {
      const { provider } = await start((_request, response) => json(response, lengths));
      await expect(provider.embed?.(texts(2), target, startCall())).rejects.toMatchObject({ reason: "provider_error" });
    }
  });

  test("a failing part stops the others", async () => {
    const { server, provider } = await start((request, response) => {
      if (request.body.startsWith('["x"')) json(response, { message: "no" }, 500);
    });
    await expect(provider.embed?.(texts(40), target, startCall())).rejects.toMatchObject({ reason: "provider_error" });
    await until(() => server.sockets.filter(({ destroyed }) => destroyed).length >= 3, 2_000);
    expect(server.seen.length).toBeLessThanOrEqual(5);
  });

  test("what cannot be written is refused before anything is sent", async () => {
    const { server, provider } = await start(measure);
    const request = create(EmbedRequestSchema, { model: "m1", inputs: [{ input: { case: "text", value: "" } }] });
    await expect(provider.embed?.(request, target, startCall())).rejects.toMatchObject({ reason: "untranslatable" });
    expect(server.seen).toHaveLength(0);
  });
});

describe("listModels", () => {
  const listing = { path: () => "/models", read: readOpenAiModels };
  const signal = new AbortController().signal;

  test("reads the list with the credential", async () => {
    const { server, provider } = await start(
      (_request, response) => json(response, { data: [{ id: "a", created: 1_700_000_000 }, { id: "b c" }] }),
      { listing },
    );
    const models = await provider.listModels?.(signal);
    expect(models?.map(({ id }) => id)).toEqual(["a"]);
    expect(server.seen[0]).toMatchObject({ method: "GET", url: "/base/v1/models", headers: { authorization: `Bearer ${key}` } });
  });

  test.each([
    ["an error", 401, "application/json", "{}", "answered 401"],
    ["HTML", 200, "text/html", "<html>", "text/html"],
    ["broken JSON", 200, "application/json", "{", "not JSON"],
    ["no list", 200, "application/json", "{}", "no list"],
  ])("%s throws", async (_what, status, type, body, message) => {
    const { provider } = await start(
      (_request, response) => {
        response.writeHead(status, { "content-type": type });
        response.end(body);
      },
      { listing },
    );
    await expect(provider.listModels?.(signal)).rejects.toMatchObject({
      reason: "provider_error",
      message: expect.stringContaining(message),
    });
  });

  test("a list that does not end is cut off", async () => {
    let page = 0;
    const { server, provider } = await start((_request, response) => json(response, { data: [{ id: `m${page++}` }] }), {
      listing: {
        path: (cursor) => `/models?after=${cursor ?? ""}`,
        read: (body, name) => ({ ...readOpenAiModels(body, name), next: String(page) }),
      },
    });
    expect(await provider.listModels?.(signal)).toHaveLength(20);
    expect(server.seen).toHaveLength(20);
  });
});

describe("settings that cannot be sent", () => {
  test.each([
    [{ headers: { "content-length": "1" } }, "headers.content-length"],
    [{ headers: { Host: "x" } }, "headers.Host"],
    [{ headers: { "x y": "1" } }, "is not a header name"],
    [{ headers: { "x-a": "1\r\nx-b: 2" } }, "headers.x-a"],
    [{ headers: { authorization: "Basic x" } }, "headers.authorization"],
    [{ credential: { header: "authorization", scheme: "", secret: new Secret("two\nlines-of-secret") } }, "api_key"],
  ])("%j", (options, message) => {
    const baseUrl = new URL("http://127.0.0.1:9/");
    const client = new HttpClient({ origin: baseUrl, allowPrivate: true });
    onTestFinished(() => client.close());
    const create = () =>
      createHttpProvider({
        name: "p",
        client,
        baseUrl,
        credential: { header: "authorization", scheme: "Bearer ", secret: new Secret(key) },
        userAgent: "dragoman/0",
        traits: () => ({}),
        ...options,
      });
    expect(create).toThrow(message);
    expect(create).not.toThrow("lines-of-secret");
  });
});
