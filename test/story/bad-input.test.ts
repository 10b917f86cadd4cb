/** Bad input, over HTTP and over every RPC protocol: a clear error in the protocol's own form, and the server serves on. */
import { gzipSync } from "node:zlib";
import { create, toBinary } from "@bufbuild/protobuf";
import * as grpc from "@grpc/grpc-js";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Role } from "../../gen/dragoman/v1/generate_pb.ts";
import { CompleteRequestSchema, InferenceService } from "../../gen/dragoman/v1/inference_service_pb.ts";
import { type Gateway, startGateway } from "./gateway.ts";

let gateway: Gateway;
beforeAll(async () => {
  gateway = await startGateway();
});
afterAll(() => gateway?.close());

const json = { "content-type": "application/json" };
const complete = `/${InferenceService.typeName}/Complete`;
const overLimit = (10 << 20) + 1;

type Send = () => Promise<Response>;
const post = (path: string, body: string | Uint8Array, headers: Record<string, string> = {}) =>
  fetch(gateway.url + path, { method: "POST", headers: { ...json, ...headers }, body: body as BodyInit });

const http: Record<string, { send: Send; status: number; message: RegExp; param?: string }> = {
  "broken JSON": { send: () => post("/v1/chat/completions", '{"model": '), status: 400, message: /not valid JSON/ },
  "a wrong type, with its path": {
    send: () => post("/v1/chat/completions", '{"model":"sim/echo","messages":[{"role":"user","content":[{"type":"text","text":7}]}]}'),
    status: 400,
    message: /text/,
    param: "messages[0].content[0].text",
  },
  "a body of 10 MiB and 1": {
    send: () => post("/v1/chat/completions", "x".repeat(overLimit)),
    status: 413,
    message: /larger than 10485760/,
  },
  "a gzip bomb": {
    send: () => post("/v1/chat/completions", gzipSync(Buffer.alloc(200 << 20)), { "content-encoding": "gzip" }),
    status: 413,
    message: /larger/,
  },
  "200 000 levels of JSON": { send: () => post("/v1/chat/completions", "[".repeat(200_000)), status: 400, message: /deeper than 64/ },
  "duplicate keys": { send: () => post("/v1/chat/completions", '{"model":"a","model":"b"}'), status: 400, message: /occurs twice/ },
  "invalid UTF-8": { send: () => post("/v1/chat/completions", Buffer.from('{"model":"\xff"}', "latin1")), status: 400, message: /UTF-8/ },
  "an unknown model": {
    send: () => post("/v1/chat/completions", '{"model":"nope","messages":[{"role":"user","content":"x"}]}'),
    status: 404,
    message: /no model "nope"/,
  },
  "an unknown path": { send: () => post("/v1/nothing/here", "{}"), status: 404, message: /nothing at/ },
  "a wrong method": { send: () => fetch(`${gateway.url}/v1/chat/completions`), status: 405, message: /not allowed/ },
};

describe("HTTP", () => {
  test.each(Object.entries(http))("%s", async (_, { send, status, message, param }) => {
    const response = await send();
    expect(response.status).toBe(status);
    const { error } = await response.json();
    expect(error.message).toMatch(message);
    expect(error.type).toBe(status === 404 && error.code === "model_not_found" ? "model_not_found" : "invalid_request_error");
    if (param !== undefined) expect(error.param).toBe(param);
  });
});

const rpc: Record<string, { send: Send; code: string; field?: string }> = {
  "broken JSON": { send: () => post(complete, '{"generate": '), code: "invalid_argument" },
  "a wrong type": { send: () => post(complete, '{"generate":{"model":5}}'), code: "invalid_argument" },
  "a missing field, with its path": { send: () => post(complete, "{}"), code: "invalid_argument", field: "generate" },
  "a field out of range, with its path": {
    send: () => post(complete, '{"generate":{"model":"sim/echo","messages":[{"role":"ROLE_USER"}],"sampling":{"topP":3}}}'),
    code: "invalid_argument",
    field: "generate.sampling.top_p",
  },
  "a body of 10 MiB and 1": { send: () => post(complete, "x".repeat(overLimit)), code: "resource_exhausted" },
  "a gzip bomb": {
    send: () => post(complete, gzipSync(Buffer.alloc(200 << 20)), { "content-encoding": "gzip" }),
    code: "resource_exhausted",
  },
  "200 000 levels of JSON": { send: () => post(complete, '{"a":'.repeat(200_000)), code: "invalid_argument" },
  "duplicate keys": { send: () => post(complete, '{"generate":{"model":"a","model":"b"}}'), code: "invalid_argument" },
  "invalid UTF-8": { send: () => post(complete, Buffer.from('{"generate":{"model":"\xff"}}', "latin1")), code: "invalid_argument" },
  "an unknown model": {
    send: () => post(complete, '{"generate":{"model":"nope","messages":[{"role":"ROLE_USER","parts":[{"text":"x"}]}]}}'),
    code: "not_found",
  },
};

describe("Connect", () => {
  test.each(Object.entries(rpc))("%s", async (_, { send, code, field }) => {
    const body = await (await send()).json();
    expect(body.code).toBe(code);
    if (field !== undefined) expect(JSON.stringify(body.details)).toContain(field);
  });

  test("an unknown procedure, and a wrong method", async () => {
    expect((await post(`/${InferenceService.typeName}/Nothing`, "{}")).status).toBe(404);
    expect((await fetch(gateway.url + complete)).status).toBe(405);
  });
});

describe("gRPC", () => {
  function call(path: string, bytes: Buffer): Promise<grpc.ServiceError | undefined> {
    const client = new grpc.Client(new URL(gateway.url).host, grpc.credentials.createInsecure(), { "grpc.max_send_message_length": -1 });
    return new Promise<grpc.ServiceError | undefined>((resolve) => {
      client.makeUnaryRequest(
        path,
        (value: Buffer) => value,
        (value: Buffer) => value,
        bytes,
        (error) => resolve(error ?? undefined),
      );
    }).finally(() => client.close());
  }
  const message = (init: Parameters<typeof create<typeof CompleteRequestSchema>>[1]) =>
    Buffer.from(toBinary(CompleteRequestSchema, create(CompleteRequestSchema, init)));

  test.each([
    ["bytes that are no message", complete, () => Buffer.from([0x0a, 0xff, 0xff, 0xff]), grpc.status.INVALID_ARGUMENT],
    ["a missing field", complete, () => message({}), grpc.status.INVALID_ARGUMENT],
    ["a message over the limit", complete, () => Buffer.alloc(overLimit), grpc.status.RESOURCE_EXHAUSTED],
    [
      "an unknown model",
      complete,
      () => message({ generate: { model: "nope", messages: [{ role: Role.USER, parts: [{ part: { case: "text", value: "x" } }] }] } }),
      grpc.status.NOT_FOUND,
    ],
    ["an unknown method", "/dragoman.v1.InferenceService/Nothing", () => Buffer.alloc(0), grpc.status.UNIMPLEMENTED],
    ["an unknown service", "/nobody.v1.Service/Method", () => Buffer.alloc(0), grpc.status.UNIMPLEMENTED],
  ] as const)("%s", async (_, path, bytes, code) => {
    expect((await call(path, bytes()))?.code).toBe(code);
  });
});

test("after all this the server serves, and no line of the log is an error", async () => {
  const response = await post("/v1/chat/completions", '{"model":"sim/echo","messages":[{"role":"user","content":"still here"}]}');
  expect((await response.json()).choices[0].message.content).toBe("still here");
  expect(gateway.lines.filter(({ level }) => level === "error")).toEqual([]);
});
