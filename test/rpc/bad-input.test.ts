/** Issue point 5 on RPC: every bad input gets a clear error of its protocol, and the server keeps serving. */
import { connect } from "node:http2";
import { gzipSync } from "node:zlib";
import { create, toBinary } from "@bufbuild/protobuf";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport, createGrpcWebTransport } from "@connectrpc/connect-node";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { FailureDetailSchema } from "../../gen/dragoman/v1/errors_pb.ts";
import { GenerateRequestSchema } from "../../gen/dragoman/v1/generate_pb.ts";
import { CompleteRequestSchema, InferenceService } from "../../gen/dragoman/v1/inference_service_pb.ts";
import { BadRequestSchema, ErrorInfoSchema, RequestInfoSchema } from "../../gen/google/rpc/error_details_pb.ts";
import { GatewayError } from "../../src/core/error.ts";
import { ask, askJson, type FakeGateway, startGateway, stopAll } from "./fake-gateway.ts";

const unknownModel = () => Promise.reject(new GatewayError("model_not_found", 'no model "x/y" is configured: see ListModels'));

let gateway: FakeGateway;
beforeEach(async () => {
  gateway = await startGateway({ operations: { complete: unknownModel } });
});
afterEach(async () => {
  const { models } = await createClient(InferenceService, createGrpcTransport({ baseUrl: gateway.url })).listModels({});
  expect(models, "the server keeps serving").toHaveLength(1);
  expect(gateway.log.filter(({ level }) => level === "error")).toEqual([]);
  await stopAll();
});

interface ConnectJsonError {
  readonly code: string;
  readonly message: string;
  readonly details: readonly { readonly type: string; readonly debug?: Record<string, unknown> }[];
}

async function post(procedure: string, body: string | Uint8Array<ArrayBuffer>, headers: Record<string, string> = {}) {
  const response = await fetch(`${gateway.url}/dragoman.v1.InferenceService/${procedure}`, {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body,
  });
  const error = (await response.json()) as ConnectJsonError;
  const debug = (type: string) => error.details?.find((detail) => detail.type === type)?.debug;
  return { response, error, info: debug("google.rpc.ErrorInfo"), fields: debug("google.rpc.BadRequest")?.fieldViolations };
}

describe("Connect with JSON", () => {
  const invalid: Record<string, { body: string | Uint8Array<ArrayBuffer>; says: RegExp }> = {
    "broken JSON": { body: '{"model":', says: /not valid JSON/ },
    "an empty body": { body: "", says: /not valid JSON/ },
    "trailing junk": { body: "{} {}", says: /more after the end/ },
    "200 000 deep": { body: `{"model":"m","x":${"[".repeat(200_000)}${"]".repeat(200_000)}}`, says: /deeper than 64/ },
    "duplicate keys": { body: '{"model":"a","model":"b"}', says: /"model" occurs twice/ },
    "invalid UTF-8": { body: new Uint8Array([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]), says: /not UTF-8/ },
    "UTF-16": { body: new Uint8Array(Buffer.from("\ufeff{}", "utf16le")), says: /not UTF-8/ },
    "an array": { body: "[]", says: /must be an object, not an array/ },
    "an unknown enum word": { body: '{"model":"m","messages":[{"role":"nobody","parts":[]}]}', says: /role/ },
  };

  test.each(Object.entries(invalid))("%s", async (_name, { body, says }) => {
    const { response, error, info } = await post(
      "CountTokens",
      typeof body === "string" ? body.replace(/^\{"model":"m"(.*)\}$/s, '{"generate":{"model":"m"$1}}') : body,
    );
    expect(response.status).toBe(400);
    expect(error.code).toBe("invalid_argument");
    expect(error.message).toMatch(says);
    expect(info).toMatchObject({ reason: "INVALID_REQUEST", domain: "dragoman" });
  });

  test("wrong types are named with the field's path, not with their value", async () => {
    const body =
      '{"generate":{"model":5,"messages":[{"role":"ROLE_USER","parts":[{"text":["secret"]},{"toolCall":{"name":true}}]}],"sampling":{"topP":"hot"}}}';
    const { response, error, fields } = await post("Complete", body);
    expect(response.status).toBe(400);
    expect(fields).toEqual([
      { field: "generate.model", description: "must be a string, not a number" },
      { field: "generate.messages[0].parts[0].text", description: "must be a string, not an array" },
      { field: "generate.messages[0].parts[1].tool_call.name", description: "must be a string, not a boolean" },
      { field: "generate.sampling.top_p", description: "must be a number, not a string" },
    ]);
    expect(error.message).toBe("generate.model: must be a string, not a number");
    expect(JSON.stringify(error)).not.toContain("secret");
  });

  test("rules of the contract are named with the field's path", async () => {
    const { fields, info } = await post("Complete", JSON.stringify({ generate: { model: "", messages: [{ parts: [{}] }] } }));
    expect(info).toMatchObject({ reason: "INVALID_REQUEST" });
    const paths = (fields as { field: string }[]).map(({ field }) => field);
    expect(paths).toContain("generate.model");
    expect(paths).toContain("generate.messages[0].role");
    expect(paths).toContain("generate.messages[0].parts[0].part");
  });

  test("one byte over 10 MiB", async () => {
    const filler = (bytes: number) => `{"generate":{"model":"${"m".repeat(bytes - 25)}"}}`;
    const within = await post("Complete", filler(10 << 20));
    expect(within.error.message).toMatch(/^generate\.(model|messages)?/);
    expect(within.error.code).toBe("invalid_argument");
    const over = await post("Complete", `${filler(10 << 20)} `);
    expect(over.response.status).toBe(429); // Connect's status for resource_exhausted
    expect(over.error.code).toBe("resource_exhausted");
    expect(over.info).toMatchObject({ reason: "TOO_LARGE" });
  });

  test("a gzip bomb", async () => {
    const bomb = new Uint8Array(gzipSync(Buffer.alloc(64 << 20, 0x20)));
    const { error, info } = await post("Complete", bomb, { "content-encoding": "gzip" });
    expect(error.code).toBe("resource_exhausted");
    expect(info).toMatchObject({ reason: "TOO_LARGE" });
  });

  test("an encoding that does not fit the bytes, and one that is not known", async () => {
    const wrong = await post("Complete", askJson("x"), { "content-encoding": "gzip" });
    expect(wrong.error.code).toBe("invalid_argument");
    const unknown = await post("Complete", askJson("x"), { "content-encoding": "zip" });
    expect(unknown.error.code).toBe("unimplemented");
    expect(unknown.info).toMatchObject({ reason: "UNSUPPORTED" });
  });

  test("an unknown model", async () => {
    const { response, error, info } = await post("Complete", `{"generate":${askJson("x")}}`, { "x-request-id": "r-9" });
    expect(response.status).toBe(404);
    expect(error.code).toBe("not_found");
    expect(info).toMatchObject({ reason: "MODEL_NOT_FOUND" });
    expect(response.headers.get("x-request-id")).toBe("r-9");
    expect(response.headers.get("x-dragoman-error-reason")).toBe("model_not_found");
    expect(response.headers.get("x-should-retry")).toBe("false");
  });

  test("a wrong method, content type and path", async () => {
    const url = `${gateway.url}/dragoman.v1.InferenceService/Complete`;
    const wrongMethod = await fetch(url, { method: "PUT", body: "{}" });
    expect(wrongMethod.status).toBe(405);
    expect(wrongMethod.headers.get("allow")).toBe("POST");
    expect(((await wrongMethod.json()) as ConnectJsonError).message).toMatch(/POST/);
    const wrongType = await fetch(url, { method: "POST", headers: { "content-type": "text/xml" }, body: "<a/>" });
    expect(wrongType.status).toBe(415);
    expect(((await wrongType.json()) as ConnectJsonError).message).toMatch(/content type/);
    expect((await fetch(`${gateway.url}/dragoman.v1.InferenceService/Nothing`, { method: "POST", body: "{}" })).status).toBe(404);
  });

  test.each([
    ["connect-timeout-ms", "soon"],
    ["connect-timeout-ms", "99999999999"],
  ])("%s: %s", async (name, value) => {
    const { error, info } = await post("ListModels", "{}", { [name]: value });
    expect(error.code).toBe("invalid_argument");
    expect(error.message).not.toContain(value);
    expect(info).toMatchObject({ reason: "INVALID_REQUEST" });
  });

  test("a longer deadline than allowed counts as the longest", async () => {
    const response = await fetch(`${gateway.url}/dragoman.v1.InferenceService/ListModels`, {
      method: "POST",
      headers: { "content-type": "application/json", "connect-timeout-ms": "9999999999" },
      body: "{}",
    });
    expect(response.status).toBe(200);
    const call = gateway.calls.at(-1);
    expect((call?.deadline ?? 0) - (call?.startedAt ?? 0)).toBeGreaterThan(599_000);
    expect((call?.deadline ?? 0) - (call?.startedAt ?? 0)).toBeLessThanOrEqual(600_000);
  });
});

const framed = {
  // A client's own session takes 10 MB by default, answers included.
  grpc: (baseUrl: string) => createGrpcTransport({ baseUrl, nodeOptions: { maxSessionMemory: 64 } }),
  "grpc-web": (baseUrl: string) => createGrpcWebTransport({ baseUrl, httpVersion: "1.1" }),
  "connect, binary": (baseUrl: string) => createConnectTransport({ baseUrl, httpVersion: "1.1" }),
  "connect, JSON": (baseUrl: string) => createConnectTransport({ baseUrl, httpVersion: "1.1", useBinaryFormat: false }),
};

describe.each(Object.entries(framed))("errors over %s", (_name, transport) => {
  const client = () => createClient(InferenceService, transport(gateway.url));
  const failure = async (run: () => Promise<unknown>) =>
    ConnectError.from(
      await run().then(
        () => new Error("it succeeded"),
        (e: unknown) => e,
      ),
    );
  const drain = async (stream: AsyncIterable<unknown>) => {
    for await (const _ of stream);
  };

  test.each([
    ["unary", () => failure(() => client().complete({ generate: { model: "", messages: [] } }))],
    ["streamed", () => failure(() => drain(client().generate({ model: "", messages: [] })))],
  ])("a broken rule, %s", async (_kind, run) => {
    const error = await run();
    expect(error.code).toBe(Code.InvalidArgument);
    expect(error.findDetails(BadRequestSchema)[0]?.fieldViolations.map(({ field }) => field.replace("generate.", ""))).toContain("model");
    expect(error.findDetails(ErrorInfoSchema)[0]).toMatchObject({ reason: "INVALID_REQUEST", domain: "dragoman" });
    const [request] = error.findDetails(RequestInfoSchema);
    expect(error.metadata.get("x-dragoman-request-id")).toBe(request?.requestId);
    expect(error.findDetails(FailureDetailSchema)[0]).toMatchObject({ committed: false, requestId: request?.requestId });
  });

  test.each([
    ["unary", () => failure(() => client().complete({ generate: ask("m".repeat(10 << 20)) }))],
    ["streamed", () => failure(() => drain(client().generate(ask("m".repeat(10 << 20)))))],
  ])("a message over 10 MiB, %s", async (_kind, run) => {
    const error = await run();
    expect(error.code).toBe(Code.ResourceExhausted);
    expect(error.findDetails(ErrorInfoSchema)[0]?.reason).toBe("TOO_LARGE");
    expect(error.rawMessage).toMatch(/10485760 bytes/);
  });

  test("a message is told as it is, punctuation included", async () => {
    const error = await failure(() => client().complete({ generate: ask("x") }));
    expect(error.rawMessage).toBe('no model "x/y" is configured: see ListModels');
  });
});

describe("gRPC bytes", () => {
  const frame = (data: Uint8Array, length = data.byteLength, flags = 0) => {
    const head = Buffer.alloc(5);
    head[0] = flags;
    head.writeUInt32BE(length, 1);
    return Buffer.concat([head, data]);
  };

  async function call(body: Buffer, headers: Record<string, string> = {}, path = "/dragoman.v1.InferenceService/Complete") {
    const session = connect(gateway.url);
    const stream = session.request({ ":method": "POST", ":path": path, "content-type": "application/grpc", te: "trailers", ...headers });
    const seen: Record<string, unknown> = {};
    stream.on("response", (sent) => Object.assign(seen, sent)).on("trailers", (sent) => Object.assign(seen, sent));
    stream.end(body);
    stream.resume();
    await new Promise((resolve) => stream.once("close", resolve));
    session.close();
    return seen;
  }

  test.each([
    ["bytes that are no message", frame(Buffer.from([0xff, 0xff, 0xff])), "3"],
    ["invalid UTF-8 in a string", frame(Buffer.from([0x0a, 0x04, 0x0a, 0x02, 0xff, 0xfe])), "3"],
    ["a frame shorter than it says", frame(Buffer.from([1, 2, 3]), 100), "3"],
    ["a frame that says 4 GiB", frame(Buffer.from([1]), 0xffffffff), "8"],
    ["a gzip bomb", frame(gzipSync(Buffer.alloc(64 << 20)), undefined, 1), "8"],
    ["no message", Buffer.alloc(0), "12"],
    ["two messages", Buffer.concat([frame(Buffer.alloc(0)), frame(Buffer.alloc(0))]), "12"],
  ])("%s", async (_name, body, status) => {
    const seen = await call(body, { "grpc-encoding": "gzip" });
    expect(seen["grpc-status"]).toBe(status);
    expect(seen["x-dragoman-error-reason"]).toBeTypeOf("string");
    expect(seen["grpc-status-details-bin"]).toBeTypeOf("string");
  });

  test("a junk deadline is refused and a long one is cut", async () => {
    const message = frame(
      toBinary(CompleteRequestSchema, create(CompleteRequestSchema, { generate: create(GenerateRequestSchema, ask("x")) })),
    );
    expect((await call(message, { "grpc-timeout": "junk" }))["grpc-status"]).toBe("3");
    expect((await call(message, { "grpc-timeout": "99999999H" }))["grpc-status"]).toBe("5"); // reached the operation
    const last = gateway.calls.at(-1);
    expect((last?.deadline ?? 0) - (last?.startedAt ?? 0)).toBeLessThanOrEqual(600_000);
  });

  test("the message is encoded as the protocol asks and no more", async () => {
    const message = frame(
      toBinary(CompleteRequestSchema, create(CompleteRequestSchema, { generate: create(GenerateRequestSchema, ask("x")) })),
    );
    expect((await call(message))["grpc-message"]).toBe('no model "x/y" is configured: see ListModels');
  });

  test("an unknown procedure is not found", async () => {
    expect((await call(frame(Buffer.alloc(0)), {}, "/dragoman.v1.InferenceService/Nothing"))[":status"]).toBe(404);
  });
});
