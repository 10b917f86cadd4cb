/** ERR-1, ERR-2, AUTH-2: every surface has its envelope for every failure, whichever endpoint of it is meant. */

import { create } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { CountTokensResponseSchema } from "../../gen/dragoman/v1/inference_service_pb.ts";
import { post, startFacade } from "./fake-facade.ts";

interface SurfaceCase {
  readonly name: string;
  readonly path: string;
  /** Not there, but of the same surface. */
  readonly missing: string;
  readonly body: object;
  /** What the envelope says for a status. */
  envelope(status: number): object;
}

const messages = [{ role: "user", content: "hi" }];

const surfaces: readonly SurfaceCase[] = [
  {
    name: "OpenAI",
    path: "/v1/chat/completions",
    missing: "/v1/filesX",
    body: { model: "m", messages },
    envelope: (status) => ({
      error: { message: expect.any(String), type: status === 401 || status === 403 ? "auth_error" : "invalid_request_error" },
      error_kind: expect.any(String),
    }),
  },
  {
    name: "Anthropic",
    path: "/v1/messages",
    missing: "/v1/messages/nothing",
    body: { model: "m", max_tokens: 5, messages },
    envelope: (status) => ({
      type: "error",
      error: {
        type:
          { 401: "authentication_error", 403: "permission_error", 404: "not_found_error", 413: "request_too_large" }[status] ??
          "invalid_request_error",
        message: expect.any(String),
      },
      request_id: expect.stringMatching(/^[0-9A-Z]{26}$/),
    }),
  },
  ...["/v1", "/v1beta", "/v1beta1"].map((version) => ({
    name: `Google under ${version}`,
    path: `${version}/models/m:generateContent`,
    missing: `${version}/models/m:generateNothing`,
    body: { contents: [{ parts: [{ text: "hi" }] }] },
    envelope: (status: number) => ({
      error: {
        code: status,
        message: expect.any(String),
        status:
          { 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "UNIMPLEMENTED", 413: "RESOURCE_EXHAUSTED" }[status] ??
          "INVALID_ARGUMENT",
      },
    }),
  })),
];

const keys = { "k-chat": ["chat"], "k-embed": ["embed"] } as const;
const chatKey = { authorization: "Bearer k-chat" };

describe.each(surfaces)("$name", ({ path, missing, body, envelope }) => {
  test("a call goes through", async () => {
    expect((await post((await startFacade({ keys })) + path, body, chatKey)).status).toBe(200);
  });

  const failures: [string, number, (url: string) => Promise<Response>][] = [
    ["no key", 401, (url) => post(url + path, body)],
    ["a wrong key, before the body is looked at", 401, (url) => post(url + path, "{broken", { "x-api-key": "wrong" })],
    ["a key without the scope, before the body is looked at", 403, (url) => post(url + path, "{broken", { "x-api-key": "k-embed" })],
    ["an unknown path", 404, (url) => post(url + missing, body, chatKey)],
    ["a wrong method", 405, (url) => fetch(url + path, { method: "PUT", headers: chatKey })],
    ["a wrong content type", 415, (url) => post(url + path, body, { ...chatKey, "content-type": "text/plain" })],
    ["broken JSON", 400, (url) => post(url + path, '{"model": ', chatKey)],
    ["a body that is no object", 400, (url) => post(url + path, "[]", chatKey)],
    ["a body over the limit", 413, (url) => post(url + path, "x".repeat((1 << 20) + 1), chatKey)],
    ["a bad header value", 400, (url) => post(url + path, body, { ...chatKey, "x-dragoman-strict": "perhaps" })],
  ];

  test.each(failures)("%s is %i in the surface's envelope", async (_, status, run) => {
    const response = await run(await startFacade({ keys }));
    expect(response.status).toBe(status);
    expect(response.headers.get("content-type")).toBe("application/json");
    expect(response.headers.get("x-dragoman-error-reason")).toMatch(/^[a-z_]+$/);
    expect(response.headers.get("x-request-id")).not.toBeNull();
    if (status === 405) expect(response.headers.get("allow")).toContain("POST");
    expect(await response.json()).toMatchObject(envelope(status));
  });

  test("V1-8: a client's request id comes back, the gateway's own is unique, on answers and failures", async () => {
    const url = await startFacade({ keys });
    const headers = { ...chatKey, "x-request-id": "mine-1" };
    const answers = [
      await post(url + path, body, headers),
      await post(url + path, body, headers),
      await post(url + missing, body, headers),
    ];
    expect(answers.map((answer) => answer.headers.get("x-request-id"))).toEqual(["mine-1", "mine-1", "mine-1"]);
    const own = answers.map((answer) => answer.headers.get("x-dragoman-request-id"));
    expect(new Set(own).size).toBe(3);
    const generated = await post(url + path, body, { ...chatKey, "x-request-id": "has spaces in it" });
    expect(generated.headers.get("x-request-id")).toBe(generated.headers.get("x-dragoman-request-id"));
  });
});

test("V1-8: only Anthropic's answers name the id as its clients look for it", async () => {
  const url = await startFacade();
  const answer = await post(`${url}/v1/messages`, { model: "m", max_tokens: 5, messages });
  expect(answer.headers.get("request-id")).toBe(answer.headers.get("x-dragoman-request-id"));
  expect((await post(`${url}/v1/chat/completions`, { model: "m", messages })).headers.get("request-id")).toBeNull();
});

test("AUTH-2, C15, N2: each endpoint asks for its own scope", async () => {
  const url = await startFacade({ keys: { chat: ["chat"], embed: ["embed"], models: ["models"], all: ["*"] } });
  const ask = {
    chat: (key: string) => post(`${url}/v1/chat/completions`, { model: "m", messages }, { "x-api-key": key }),
    embed: (key: string) => post(`${url}/v1/embeddings`, { model: "m", input: "a" }, { "x-api-key": key }),
    models: (key: string) => fetch(`${url}/v1/models`, { headers: { "x-api-key": key } }),
  };
  for (const [name, run] of Object.entries(ask)) {
    for (const key of ["chat", "embed", "models", "all"]) {
      expect((await run(key)).status, `${key} at ${name}`).toBe(key === name || key === "all" ? 200 : 403);
    }
  }
});

test("HEAD is answered as GET is, without a body", async () => {
  const url = await startFacade();
  const response = await fetch(`${url}/v1/models`, { method: "HEAD" });
  expect(response.status).toBe(200);
  expect(Number(response.headers.get("content-length"))).toBeGreaterThan(2);
  expect(await response.text()).toBe("");
  expect((await fetch(`${url}/v1/messages`, { method: "HEAD" })).status).toBe(405);
});

test("a count says what it could not take into account, in the client's words", async () => {
  const url = await startFacade({
    operations: {
      countTokens: async () =>
        create(CountTokensResponseSchema, {
          inputTokens: 9,
          basis: 3,
          provider: "p",
          translation: [{ action: 1, path: "sampling.max_output_tokens", format: "x" }],
        }),
    },
  });
  const response = await post(`${url}/v1/messages/count_tokens`, { model: "m", messages });
  expect(await response.json()).toMatchObject({ input_tokens: 9 });
  expect(response.headers.get("x-dragoman-usage-basis")).toBe("estimated");
  expect(response.headers.get("x-dragoman-translation")).toBe('dropped;path="max_tokens"');
});
