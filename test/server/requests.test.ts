/** Heads that are refused, over HTTP/1.1, HTTP/2 and RPC (reliability.md 2.6, 2.8, CL8, CL13, CL14). */
import http2 from "node:http2";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport } from "@connectrpc/connect-node";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { InferenceService } from "../../gen/dragoman/v1/inference_service_pb.ts";
import { ErrorInfoSchema } from "../../gen/google/rpc/error_details_pb.ts";
import { type FakeGateway, startGateway, stopAll } from "../rpc/fake-gateway.ts";
import { exchange, parseAnswer } from "./raw-client.ts";

let gateway: FakeGateway;
beforeEach(async () => {
  gateway = await startGateway();
});
afterEach(async () => {
  expect((await fetch(`${gateway.url}/healthz`)).status, "the server keeps serving").toBe(200);
  expect(gateway.log.filter(({ level }) => level === "error")).toEqual([]);
  await stopAll();
});

const send = async (head: string) => parseAnswer(await exchange(gateway.port, head));
const get = (lines: string[], path = "/healthz") =>
  send(`GET ${path} HTTP/1.1\r\n${["host: a", "connection: close", ...lines].join("\r\n")}\r\n\r\n`);

describe("HTTP/1.1", () => {
  const refused: Record<string, { lines?: string[]; path?: string; status: number }> = {
    "a URL one byte over": { path: `/${"a".repeat(8_192)}`, status: 414 },
    "a URL far over": { path: `/${"a".repeat(40_000)}`, status: 414 },
    "headers one byte over": { lines: [`x: ${"b".repeat(16_384 - "hosta".length - "connectionclose".length)}`], status: 431 },
    "headers far over": { lines: [`x: ${"b".repeat(60_000)}`], status: 431 },
    "101 fields": { lines: Array.from({ length: 99 }, (_, index) => `x-${index}: 1`), status: 431 },
    "an underscore in a name": { lines: ["x_y: 1"], status: 400 },
    "two credentials": { lines: ["authorization: Bearer a", "authorization: Bearer b"], status: 400 },
    "two key headers": { lines: ["x-api-key: a", "X-Api-Key: b"], status: 400 },
    "C22: a subject": { lines: ["x-dragoman-subject: admin"], status: 400 },
    "C22: another's subject": { lines: ["x-cgn-subject: admin"], status: 400 },
    "X16: two framings": { lines: ["content-length: 3", "transfer-encoding: chunked"], status: 400 },
    "X16: two lengths": { lines: ["content-length: 3", "content-length: 4"], status: 400 },
    "a folded header": { lines: ["x: a", "  b"], status: 400 },
    "NUL in a value": { lines: ["x: a\0b"], status: 400 },
    "an absolute target": { path: "http://elsewhere/healthz", status: 400 },
  };

  test.each(Object.entries(refused))("%s", async (_name, { lines = [], path, status }) => {
    const answer = await get(lines, path);
    expect(answer.status).toBe(status);
    expect(answer.headers).toContain("content-type: application/json");
    expect(answer.headers).toContain("connection: close");
    const { error } = JSON.parse(answer.body) as { error: Record<string, unknown> };
    expect(error).toEqual({ code: null, message: expect.any(String), type: "invalid_request_error" });
  });

  test("what is just within passes", async () => {
    expect((await get([`x: ${"b".repeat(16_384 - "hosta".length - "connectionclose".length - 1)}`])).status).toBe(200);
    expect((await get(Array.from({ length: 98 }, (_, index) => `x-${index}: 1`))).status).toBe(200);
    expect((await get([], `/${"a".repeat(8_191)}`)).status).toBe(404);
  });

  test.each(["a b", "a/b", "a@b", "[::1", "", "a:999999"])("host %j", async (host) => {
    expect((await send(`GET /healthz HTTP/1.1\r\nhost: ${host}\r\nconnection: close\r\n\r\n`)).status).toBe(400);
  });

  test.each(["localhost", "127.0.0.1:8080", "[::1]:80", "my_container:1"])("host %j is fine", async (host) => {
    expect((await send(`GET /healthz HTTP/1.1\r\nhost: ${host}\r\nconnection: close\r\n\r\n`)).status).toBe(200);
  });

  test("what is no HTTP", async () => {
    const answer = await send("\x16\x03\x01 hello\r\n\r\n");
    expect(answer.status).toBe(400);
    expect(JSON.parse(answer.body)).toMatchObject({ error_kind: "invalid_request" });
  });

  test("a wrong preface", async () => {
    expect(await exchange(gateway.port, "PRI * HTTP/1.0\r\n\r\n")).toContain("400");
  });
});

describe("HTTP/2", () => {
  async function request(
    headers: http2.OutgoingHttpHeaders,
  ): Promise<{ status: number; headers: http2.IncomingHttpHeaders; body: string }> {
    const session = http2.connect(gateway.url);
    try {
      return await new Promise((resolve, reject) => {
        const stream = session.request({ ":path": "/healthz", ...headers });
        let body = "";
        let head: http2.IncomingHttpHeaders = {};
        stream.setEncoding("utf8");
        stream.on("response", (sent) => {
          head = sent;
        });
        stream.on("data", (text) => {
          body += text;
        });
        stream.on("error", reject);
        stream.on("end", () => resolve({ status: Number(head[":status"]), headers: head, body }));
      });
    } finally {
      session.close();
    }
  }

  const refused: Record<string, { headers: http2.OutgoingHttpHeaders; status: number }> = {
    "a URL one byte over": { headers: { ":path": `/${"a".repeat(8_192)}` }, status: 414 },
    "headers over": { headers: { x: "b".repeat(16_384) }, status: 431 },
    "101 fields": { headers: Object.fromEntries(Array.from({ length: 101 }, (_, index) => [`x-${index}`, "1"])), status: 431 },
    "101 crumbs of one cookie": { headers: { cookie: Array.from({ length: 101 }, (_, index) => `c${index}=1`) }, status: 431 },
    "an underscore in a name": { headers: { x_y: "1" }, status: 400 },
    "C22: a subject": { headers: { "x-cgn-subject": "admin" }, status: 400 },
    "two hosts": { headers: { ":authority": "a", host: "b" }, status: 400 },
    "an authority that is no host": { headers: { ":authority": "a:b" }, status: 400 },
  };

  test.each(Object.entries(refused))("%s", async (_name, { headers, status }) => {
    const answer = await request(headers);
    expect(answer.status).toBe(status);
    expect(JSON.parse(answer.body)).toMatchObject({ error: { code: null, type: "invalid_request_error" } });
  });

  test.each([{ ":authority": "a@b" }, { ":path": "healthz" }])("%j ends the stream: the protocol itself forbids it", async (headers) => {
    await expect(request(headers)).rejects.toThrow(/PROTOCOL_ERROR/);
  });

  test("far too many fields end the stream, not the server", async () => {
    const headers = Object.fromEntries(Array.from({ length: 400 }, (_, index) => [`x-${index}`, "1"]));
    await expect(request(headers)).rejects.toThrow(/ENHANCE_YOUR_CALM/);
  });
});

describe("RPC", () => {
  const refusal = async (run: Promise<unknown>) =>
    ConnectError.from(
      await run.then(
        () => new Error("it succeeded"),
        (e: unknown) => e,
      ),
    );

  test.each([
    ["grpc", () => createGrpcTransport({ baseUrl: gateway.url })],
    ["connect", () => createConnectTransport({ baseUrl: gateway.url, httpVersion: "1.1" })],
  ])("%s clients read code and reason of a refused head", async (_name, transport) => {
    const client = createClient(InferenceService, transport());
    const error = await refusal(client.listModels({}, { headers: { "x-dragoman-subject": "admin" } }));
    expect(error.code).toBe(Code.InvalidArgument);
    expect(error.rawMessage).toMatch(/x-dragoman-subject/);
    expect(error.findDetails(ErrorInfoSchema)[0]?.reason).toBe("INVALID_REQUEST");
  });

  test("X7: headers that nobody may state have no effect", async () => {
    const client = createClient(InferenceService, createGrpcTransport({ baseUrl: gateway.url }));
    await client.listModels({}, { headers: { "x-dragoman-user-id": "u", "x-dragoman-tenant": "t", "x-forwarded-user": "root" } });
    expect(gateway.calls[0]?.attribution?.endUserId).toBe("u");
    expect(gateway.calls[0]?.principal.id).toBe("anonymous");
  });
});
