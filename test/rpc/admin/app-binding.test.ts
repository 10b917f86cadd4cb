/** A key that is bound to an app calls by that app on every surface and RPC, and sees no other app's keys (surfaces.md 2.4). */
import { Code, ConnectError } from "@connectrpc/connect";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { KeyService } from "../../../gen/dragoman/admin/v1/key_service_pb.ts";
import { AccessRole } from "../../../gen/dragoman/v1/auth_pb.ts";
import { Role } from "../../../gen/dragoman/v1/generate_pb.ts";
import { InferenceService } from "../../../gen/dragoman/v1/inference_service_pb.ts";
import { type AdminGateway, startAdminGateway } from "./admin-gateway.ts";

let gateway: AdminGateway;
/** A member's key of the app `shop`. */
let bound: string;

beforeAll(async () => {
  gateway = await startAdminGateway();
  bound = (await keys().createKey({ key: { app: "shop" } })).secret;
}, 30_000);
afterAll(() => gateway.close());

const keys = (secret = gateway.root) => gateway.admin(KeyService, secret);

async function outcomeOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
    return "ok";
  } catch (error) {
    const { code, metadata } = ConnectError.from(error);
    return `${Code[code]} ${metadata.get("x-dragoman-error-reason") ?? ""}`.trim();
  }
}

const chat = { model: "sim/echo", messages: [{ role: "user", content: "hi" }] };
const google = { contents: [{ role: "user", parts: [{ text: "hi" }] }] };
const surfaces: readonly [method: string, path: string, body: object | undefined][] = [
  ["POST", "/v1/chat/completions", chat],
  ["POST", "/v1/chat/completions", { ...chat, stream: true }],
  ["POST", "/v1/completions", { model: "sim/echo", prompt: "hi" }],
  ["POST", "/v1/responses", { model: "sim/echo", input: "hi" }],
  ["POST", "/v1/responses", { model: "sim/echo", input: "hi", stream: true }],
  ["POST", "/v1/responses/input_tokens", { model: "sim/echo", input: "hi" }],
  ["POST", "/v1/messages", { ...chat, max_tokens: 10 }],
  ["POST", "/v1/messages/count_tokens", chat],
  ["POST", "/v1/embeddings", { model: "sim/embed", input: "hi" }],
  ["GET", "/v1/models", undefined],
  ["GET", "/v1/models/sim/echo", undefined],
  ["GET", "/v1beta/models", undefined],
  ["POST", "/v1beta/models/sim/echo:generateContent", google],
  ["POST", "/v1beta/models/sim/echo:streamGenerateContent", google],
  ["POST", "/v1beta/models/sim/echo:countTokens", google],
  ["POST", "/v1beta/models/sim/embed:embedContent", { content: { parts: [{ text: "hi" }] } }],
];

async function ask(method: string, path: string, body: object | undefined, policy?: string, headers: object = {}) {
  const response = await fetch(gateway.app.dataUrl + path, {
    method,
    headers: {
      authorization: `Bearer ${bound}`,
      ...(body === undefined ? {} : { "content-type": "application/json" }),
      ...(policy === undefined ? {} : { "x-dragoman-policy": policy }),
      ...headers,
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  return { status: response.status, reason: response.headers.get("x-dragoman-error-reason"), text };
}

describe("on HTTP", () => {
  test.each(surfaces)("%s %s", async (method, path, body) => {
    const refused = await ask(method, path, body, "desk");
    expect(refused).toMatchObject({ status: 403, reason: "app_mismatch" });
    expect(refused.text).not.toContain("shop");
    expect((await ask(method, path, body, undefined)).status).toBe(200);
    expect((await ask(method, path, body, " SHOP ")).status).toBe(200);
  });

  test("also where an answer was recorded", async () => {
    const once = { "idempotency-key": "bound-once" };
    expect((await ask("POST", "/v1/chat/completions", chat, undefined, once)).status).toBe(200);
    expect(await ask("POST", "/v1/chat/completions", chat, "desk", once)).toMatchObject({ status: 403, reason: "app_mismatch" });
  });
});

describe("on RPC", () => {
  const generate = (policy: string) => ({
    model: "sim/echo",
    messages: [{ role: Role.USER, parts: [{ part: { case: "text" as const, value: "hi" } }] }],
    options: { policy },
  });
  const rpc = () => gateway.data(InferenceService, bound);
  const calls: Record<string, (policy: string) => Promise<unknown>> = {
    Generate: async (policy) => {
      for await (const _ of rpc().generate(generate(policy)));
    },
    Complete: (policy) => rpc().complete({ generate: generate(policy) }),
    CountTokens: (policy) => rpc().countTokens({ generate: generate(policy) }),
    Embed: (policy) => rpc().embed({ model: "sim/embed", inputs: [{ input: { case: "text", value: "hi" } }], options: { policy } }),
    ListModels: (policy) => rpc().listModels({}, policy === "" ? {} : { headers: { "x-dragoman-policy": policy } }),
  };

  test.each(Object.keys(calls))("%s", async (name) => {
    const call = calls[name];
    expect(await outcomeOf(call?.("desk") ?? Promise.reject(new Error(name)))).toMatch(/^PermissionDenied/);
    for (const policy of ["", "shop", "Shop"])
      expect(await outcomeOf(call?.(policy) ?? Promise.reject(new Error(name))), policy).toBe("ok");
  });

  test("a key that is bound to none is told that there is no such policy", async () => {
    const free = await gateway.keyOf(AccessRole.MEMBER);
    expect(await outcomeOf(gateway.data(InferenceService, free).complete({ generate: generate("desk") }))).toMatch(/^NotFound/);
  });
});

describe("keys of other apps", () => {
  test("do not exist for a key that is bound to one", async () => {
    const shop = keys(await gateway.keyOfApp("shop"));
    const { key: other } = await keys().createKey({ key: { app: "desk" } });
    const { key: free } = await keys().createKey({ key: {} });
    const { keys: seen } = await shop.listKeys({});
    expect(new Set(seen.map(({ app }) => app))).toEqual(new Set(["shop"]));
    for (const id of [other?.id ?? "", free?.id ?? ""]) expect(await outcomeOf(shop.getKey({ id }))).toMatch(/^NotFound/);
    expect(await outcomeOf(shop.getKey({ id: seen[0]?.id ?? "" }))).toBe("ok");
  });

  test("are named as policies are: without regard to case", async () => {
    const { key } = await keys().createKey({ key: { app: " Till " } });
    expect(key?.app).toBe("till");
    expect(await outcomeOf(keys().createKey({ key: { app: "two words" } }))).toMatch(/^InvalidArgument/);
  });
});
