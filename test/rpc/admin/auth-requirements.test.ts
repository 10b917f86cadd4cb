/** Requirements AUTH-1, AUTH-3 and AUTH-7 (surfaces.md 10), on every surface at once; the others stand with what they are about. */
import { Code, ConnectError } from "@connectrpc/connect";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { KeyService } from "../../../gen/dragoman/admin/v1/key_service_pb.ts";
import { InferenceService } from "../../../gen/dragoman/v1/inference_service_pb.ts";
import { type AdminGateway, startAdminGateway } from "./admin-gateway.ts";

let gateway: AdminGateway;
const wrong: Record<string, string | undefined> = {
  none: undefined,
  garbage: "not a key at all",
  unknown: "sk-0123456789abcdef0123456789abcdef",
};

beforeAll(async () => {
  const routes = { smart: { strategy: "fallback", targets: [{ provider: "sim", model: "echo" }] } };
  gateway = await startAdminGateway({ routes });
  const expired = await make({});
  await keys().rotateKey({ id: expired.key?.id ?? "", overlap: { seconds: 0n, nanos: 0 } });
  const disabled = await make({});
  await keys().updateKey({ key: { id: disabled.key?.id ?? "", enabled: false }, updateMask: { paths: ["enabled"] } });
  const revoked = await make({});
  await keys().revokeKey({ id: revoked.key?.id ?? "" });
  Object.assign(wrong, { expired: expired.secret, disabled: disabled.secret, revoked: revoked.secret });
}, 30_000);
afterAll(() => gateway.close());

const keys = () => gateway.admin(KeyService, gateway.root);
const make = (key: object) => keys().createKey({ key });

type Shape = "openai" | "anthropic" | "google";

interface Asking {
  readonly shape: Shape;
  readonly path: (model: string) => string;
  readonly body?: (model: string, text: string) => object;
}

const messages = (text: string) => [{ role: "user", content: text }];
const contents = (text: string) => [{ role: "user", parts: [{ text }] }];
const at = (path: string) => () => path;
const google = (verb: string): Asking => ({
  shape: "google",
  path: (model) => `/v1beta/models/${model}:${verb}`,
  body: (_, text) => ({ contents: contents(text) }),
});

const chat: Asking = { shape: "openai", path: at("/v1/chat/completions"), body: (model, text) => ({ model, messages: messages(text) }) };
/** Everything that names a model and runs. */
const calls: Readonly<Record<string, Asking>> = {
  chat,
  "chat, streamed": { ...chat, body: (model, text) => ({ model, messages: messages(text), stream: true }) },
  completions: { shape: "openai", path: at("/v1/completions"), body: (model, text) => ({ model, prompt: text }) },
  responses: { shape: "openai", path: at("/v1/responses"), body: (model, text) => ({ model, input: text }) },
  "input tokens": { shape: "openai", path: at("/v1/responses/input_tokens"), body: (model, text) => ({ model, input: text }) },
  messages: { shape: "anthropic", path: at("/v1/messages"), body: (model, text) => ({ model, max_tokens: 5, messages: messages(text) }) },
  "count tokens": {
    shape: "anthropic",
    path: at("/v1/messages/count_tokens"),
    body: (model, text) => ({ model, messages: messages(text) }),
  },
  generateContent: google("generateContent"),
  streamGenerateContent: google("streamGenerateContent"),
  countTokens: google("countTokens"),
};
const lists: Readonly<Record<string, Asking>> = {
  models: { shape: "openai", path: at("/v1/models") },
  "a model": { shape: "openai", path: (model) => `/v1/models/${model}` },
  "Google's models": { shape: "google", path: at("/v1beta/models") },
  "a stored answer": { shape: "openai", path: at("/v1/responses/resp_01AAAAAAAAAAAAAAAAAAAAAAAA") },
};

async function ask({ path, body }: Asking, key: string | undefined, model: string, text = "hi") {
  const response = await fetch(gateway.app.dataUrl + path(model), {
    ...(body === undefined ? {} : { method: "POST", body: JSON.stringify(body(model, text)) }),
    headers: {
      ...(key === undefined ? {} : { authorization: `Bearer ${key}` }),
      ...(body === undefined ? {} : { "content-type": "application/json" }),
    },
  });
  return { status: response.status, headers: response.headers, text: await response.text() };
}

const envelopes: Readonly<Record<Shape, (status: number) => object>> = {
  openai: () => ({ error: { message: expect.any(String), type: "auth_error" }, error_kind: "auth_failed" }),
  anthropic: (status) => ({ type: "error", error: { type: status === 401 ? "authentication_error" : "permission_error" } }),
  google: (status) => ({ error: { code: status, status: status === 401 ? "UNAUTHENTICATED" : "PERMISSION_DENIED" } }),
};

describe("AUTH-1, C14, N1: who has no good key gets 401 in the surface's words, the same for every kind of wrong key", () => {
  test.each(Object.entries({ ...calls, ...lists }))("%s", async (_, asking) => {
    const messagesSeen = new Set<string>();
    for (const [kind, key] of Object.entries(wrong)) {
      const { status, headers, text } = await ask(asking, key, "sim/echo");
      expect(status, kind).toBe(401);
      expect(headers.get("content-type"), kind).toMatch(/^application\/json/);
      expect(headers.get("www-authenticate"), kind).toMatch(/^Bearer/);
      expect(JSON.parse(text), kind).toMatchObject(envelopes[asking.shape](401));
      messagesSeen.add((JSON.parse(text) as { error: { message: string } }).error.message);
      if (key !== undefined) expect(text, kind).not.toContain(key);
    }
    expect(messagesSeen.size).toBe(1);
  });

  test.each(["data", "admin"] as const)("RPC on the %s port", async (port) => {
    const seen = new Set<string>();
    for (const key of Object.values(wrong)) {
      const call = port === "data" ? gateway.data(InferenceService, key).listModels({}) : gateway.admin(KeyService, key).listKeys({});
      const error = await call.then(
        () => undefined,
        (thrown: unknown) => ConnectError.from(thrown),
      );
      expect(Code[error?.code ?? Code.Unknown]).toBe("Unauthenticated");
      seen.add(error?.rawMessage ?? "");
    }
    expect(seen.size).toBe(1);
  });
});

describe("AUTH-3: models of a key hold on every call", () => {
  test.each(Object.entries(calls))("%s", async (_, asking) => {
    const { secret } = await make({ models: ["smart"] });
    expect((await ask(asking, secret, "smart")).status).toBe(200);
    for (const model of ["sim/echo", "@sim/echo"]) {
      const { status, text } = await ask(asking, secret, model);
      expect(status, model).toBe(403);
      expect(JSON.parse(text), model).toMatchObject(envelopes[asking.shape](403));
    }
    expect((await ask(asking, secret, "SMART")).status).toBe(404);
  });

  test("embeddings", async () => {
    const { secret } = await make({ models: ["smart"] });
    const embeddings: readonly Asking[] = [
      { shape: "openai", path: at("/v1/embeddings"), body: (model, input) => ({ model, input }) },
      { shape: "google", path: (model) => `/v1beta/models/${model}:embedContent`, body: (_, text) => ({ content: { parts: [{ text }] } }) },
      {
        shape: "google",
        path: (model) => `/v1beta/models/${model}:batchEmbedContents`,
        body: (model, text) => ({ requests: [{ model: `models/${model}`, content: { parts: [{ text }] } }] }),
      },
    ];
    for (const asking of embeddings) {
      expect((await ask(asking, gateway.root, "sim/embed")).status).toBe(200);
      expect((await ask(asking, secret, "sim/embed")).status).toBe(403);
    }
  });

  test("lists show what may be named, and nothing else is there", async () => {
    const { secret } = await make({ models: ["smart"] });
    for (const [name, asking] of Object.entries(lists).filter(([name]) => name.includes("models"))) {
      const { text } = await ask(asking, secret, "");
      expect(text, name).toContain("smart");
      expect(text, name).not.toContain("echo");
    }
    const one = lists["a model"];
    if (one === undefined) throw new Error("it has gone");
    expect((await ask(one, secret, "smart")).status).toBe(200);
    expect((await ask(one, secret, "sim/echo")).status).toBe(404);
  });
});

test("AUTH-7: two MiB of a held key arrive whole", async () => {
  const { secret } = await make({ models: ["smart"], endpoints: ["POST /v1/chat/completions"] });
  const long = "0123456789abcdef".repeat(2 ** 17);
  const { status, text } = await ask(chat, secret, "smart", long);
  expect(status).toBe(200);
  expect((JSON.parse(text) as { choices: { message: { content: string } }[] }).choices[0]?.message.content).toBe(long);
});
