import { create } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { GenerateRequestSchema, Role } from "../../gen/dragoman/v1/generate_pb.ts";
import { createAnthropicMessagesCodec } from "../../src/codecs/anthropic-messages/index.ts";
import { GatewayError } from "../../src/core/error.ts";
import type { MediaFetcher } from "../../src/core/media-fetcher.ts";
import { HttpClient } from "../../src/providers/http-client.ts";
import { createHttpProvider } from "../../src/providers/http-provider.ts";
import { createMediaFetcher, type MediaFetcherOptions } from "../../src/providers/media-fetcher.ts";
import { startCall, strict, targetOf } from "./calls.ts";
import { type Answer, startServer } from "./local-server.ts";

const png = Buffer.from("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg==", "base64");
const signal = new AbortController().signal;

async function serving(
  answer: Answer,
  options: Partial<MediaFetcherOptions> = {},
): Promise<{ fetcher: MediaFetcher; origin: string; seen: { url: string; headers: object }[] }> {
  const { origin, port, seen } = await startServer(answer);
  const fetcher = createMediaFetcher({
    maxBytes: 1_000,
    timeoutMs: 2_000,
    privateHosts: [`127.0.0.1:${port}`],
    userAgent: "dragoman/test",
    ...options,
  });
  return { fetcher, origin, seen };
}

function sends(body: Uint8Array | string, headers: Record<string, string> = {}, status = 200): Answer {
  return (_request, response) => void response.writeHead(status, headers).end(body);
}

describe("createMediaFetcher", () => {
  test("gives the bytes and their type, which the bytes know best; asks with no credential", async () => {
    const { fetcher, origin, seen } = await serving(sends(png, { "content-type": "image/jpeg; q=1" }));
    const { data, mediaType } = await fetcher.fetch(`${origin}/a.png?x=1#y`, signal);
    expect(Buffer.from(data)).toEqual(png);
    expect(mediaType).toBe("image/png");
    expect(seen.map(({ url }) => url)).toEqual(["/a.png?x=1"]);
    expect(Object.keys(seen[0]?.headers ?? {}).sort()).toEqual(["accept", "accept-encoding", "connection", "host", "user-agent"]);
  });

  test("takes the server's word where the bytes do not tell", async () => {
    const { fetcher, origin } = await serving(sends("hello", { "content-type": "Text/Plain; charset=utf-8" }));
    expect((await fetcher.fetch(origin, signal)).mediaType).toBe("text/plain");
  });

  test.each<[string, Answer, string]>([
    ["a redirect", sends("", { location: "http://169.254.169.254/" }, 302), "redirect"],
    ["nothing there", sends("no", {}, 404), "answered 404"],
    ["a page", sends("<html>", { "content-type": "application/xhtml+xml" }), "no media"],
    ["an empty answer", sends(""), "sent nothing"],
    ["more than is allowed, announced", sends(Buffer.alloc(1_001, png)), "larger than 1000 bytes"],
    [
      "more than is allowed, without a length",
      (_request, response) => {
        response.write(Buffer.alloc(600, png));
        response.end(Buffer.alloc(600));
      },
      "larger than 1000 bytes",
    ],
  ])("refuses %s, without the address' path", async (_, answer, message) => {
    const { fetcher, origin } = await serving(answer);
    const error = await fetcher.fetch(`${origin}/secret?token=1`, signal).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ reason: "invalid_request", message: expect.stringContaining(message) });
    expect((error as Error).message).not.toMatch(/secret|token/);
  });

  test.each([
    ["file:///etc/passwd", "http or https"],
    ["gs://bucket/object", "http or https"],
    ["http://user:pass@example.com/a.png", "user name"],
    ["http://example.com:8080/a.png", "usual ports"],
    ["http://127.0.0.1/a.png", "not public"],
    ["http://[::ffff:10.0.0.1]/a.png", "not public"],
    ["http://0x7f000001/a.png", "not public"],
    ["https://169.254.169.254/latest/meta-data", "not public"],
    ["nonsense", "not a URL"],
  ])("never asks %s", async (url, message) => {
    const fetcher = createMediaFetcher({ maxBytes: 1_000, timeoutMs: 2_000, privateHosts: [], userAgent: "dragoman/test" });
    await expect(fetcher.fetch(url, signal)).rejects.toMatchObject({
      reason: "invalid_request",
      message: expect.stringContaining(message),
    });
  });

  test("a public name that leads inside is not followed there", async () => {
    const { origin } = await serving(sends(png));
    const fetcher = createMediaFetcher({
      maxBytes: 1_000,
      timeoutMs: 2_000,
      privateHosts: [],
      userAgent: "dragoman/test",
      resolve: (_host, done) => done(null, [{ address: "127.0.0.1", family: 4 }]),
    });
    expect(origin).toBeDefined();
    await expect(fetcher.fetch("http://images.example/a.png", signal)).rejects.toMatchObject({
      message: expect.stringContaining("not public"),
    });
  });

  test("a failing server is not the client's fault, and nothing is billed", async () => {
    const { fetcher, origin } = await serving(sends("", {}, 503));
    await expect(fetcher.fetch(origin, signal)).rejects.toMatchObject({ reason: "provider_error", details: { undispatched: true } });
  });

  test("a slow server is given up", async () => {
    const { fetcher, origin } = await serving(() => {}, { timeoutMs: 50 });
    await expect(fetcher.fetch(origin, signal)).rejects.toMatchObject({ reason: "timeout" });
  });

  test("a call that is stopped stops it", async () => {
    const { fetcher, origin } = await serving(() => {});
    const stop = new AbortController();
    const fetching = fetcher.fetch(origin, stop.signal);
    stop.abort(new GatewayError("cancelled", "left"));
    await expect(fetching).rejects.toMatchObject({ reason: "cancelled" });
  });
});

const answer = JSON.stringify({
  id: "msg_1",
  type: "message",
  role: "assistant",
  model: "m",
  content: [{ type: "text", text: "a" }],
  stop_reason: "end_turn",
  usage: { input_tokens: 1, output_tokens: 1 },
});

describe("a provider whose model takes no addresses", () => {
  const image = (url: string) => ({ part: { case: "image", value: { source: { case: "url", value: url } } } }) as const;
  const target = { ...targetOf("claude", "m"), traits: { imageUrls: false } };

  async function ask(
    urls: readonly string[],
    {
      fetcher,
      call = startCall({ buffered: true }),
      maxPerRequest = 2,
    }: { fetcher?: MediaFetcher; call?: ReturnType<typeof startCall>; maxPerRequest?: number },
  ) {
    const upstream = await startServer(sends(answer, { "content-type": "application/json" }));
    const baseUrl = new URL(upstream.origin);
    const provider = createHttpProvider({
      name: "claude",
      client: new HttpClient({ origin: baseUrl, allowPrivate: true }),
      baseUrl,
      userAgent: "dragoman/test",
      codec: createAnthropicMessagesCodec(),
      traits: () => ({}),
      media: fetcher === undefined ? undefined : { fetcher, maxPerRequest },
    });
    const result = { part: { case: "toolResult", value: { toolCallId: "c", content: urls.slice(1).map(image) } } } as const;
    const request = create(GenerateRequestSchema, {
      model: "m",
      sampling: { maxOutputTokens: 5 },
      messages: [
        { role: Role.USER, parts: [image(urls[0] ?? "")] },
        { role: Role.ASSISTANT, parts: [{ part: { case: "toolCall", value: { id: "c", name: "f", argumentsJson: "{}" } } }] },
        { role: Role.TOOL, parts: [result] },
      ],
    });
    try {
      for await (const _ of provider.generate?.(request, target, call) ?? []);
    } finally {
      await provider.close();
    }
    return { sent: upstream.seen.map(({ body }) => body), notes: call.translation };
  }

  test("gets the data, once fetched for each address, and the client is told where", async () => {
    const { fetcher, origin, seen } = await serving(sends(png));
    const { sent, notes } = await ask([`${origin}/a`, `${origin}/b`, `${origin}/a`], { fetcher });
    expect(seen.map(({ url }) => url).sort()).toEqual(["/a", "/b"]);
    const data = { type: "base64", media_type: "image/png", data: png.toString("base64") };
    const [first, , third] = JSON.parse(sent[0] ?? "").messages;
    expect(first.content[0].source).toEqual(data);
    expect(third.content[0].content.map(({ source }: { source: object }) => source)).toEqual([data, data]);
    expect(notes.map(({ path }) => path)).toEqual([
      "messages[0].parts[0].image.url",
      "messages[2].parts[0].tool_result.content[0].image.url",
      "messages[2].parts[0].tool_result.content[1].image.url",
    ]);
  });

  test("says what is wrong with an address, by its path", async () => {
    const { fetcher, origin } = await serving(sends("", {}, 404));
    await expect(ask([`${origin}/a`], { fetcher })).rejects.toMatchObject({
      reason: "invalid_request",
      details: { fields: [{ field: "messages[0].parts[0].image.url" }] },
    });
  });

  test("does not fetch more addresses than allowed", async () => {
    const { fetcher, origin, seen } = await serving(sends(png));
    await expect(ask([`${origin}/a`, `${origin}/b`], { fetcher, maxPerRequest: 1 })).rejects.toMatchObject({ reason: "invalid_request" });
    expect(seen).toHaveLength(0);
  });

  test("refuses addresses where fetching is off or the call is strict, and says what would help", async () => {
    await expect(ask(["https://a.example/x.png"], {})).rejects.toMatchObject({
      reason: "untranslatable",
      message: expect.stringContaining("media.fetch"),
    });
    const { fetcher, origin, seen } = await serving(sends(png));
    const call = startCall({ buffered: true, options: strict() });
    await expect(ask([`${origin}/a`], { fetcher, call })).rejects.toMatchObject({
      reason: "untranslatable",
      message: expect.stringContaining("without strict"),
    });
    expect(seen).toHaveLength(0);
  });
});
