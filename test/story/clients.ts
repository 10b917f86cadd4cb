/** The clients that people bring, each unmodified: what they send and how they read is theirs alone. */
import { spawn } from "node:child_process";
import { join } from "node:path";
import { create, fromBinary, fromJson, type JsonValue, toBinary, toJson } from "@bufbuild/protobuf";
import { anyUnpack } from "@bufbuild/protobuf/wkt";
import { ConnectError, createClient } from "@connectrpc/connect";
import { createGrpcWebTransport } from "@connectrpc/connect-node";
import * as grpc from "@grpc/grpc-js";
import OpenAI, { APIError } from "openai";
import { GenerateRequestSchema, type GenerateResponse, GenerateResponseSchema } from "../../gen/dragoman/v1/generate_pb.ts";
import { InferenceService } from "../../gen/dragoman/v1/inference_service_pb.ts";
import { ErrorInfoSchema } from "../../gen/google/rpc/error_details_pb.ts";
import { StatusSchema } from "../../gen/google/rpc/status_pb.ts";
import { ChatAnswer } from "./chat-answer.ts";
import { answerOfEvents } from "./event-answer.ts";
import type { Client, Failure } from "./question.ts";

const root = join(import.meta.dirname, "../..");

/** The npm package `openai`, told nothing but the base URL. */
export function openAiSdk(url: string): Client {
  const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: "none", maxRetries: 0 });
  return {
    name: "openai SDK",
    async ask({ chat }) {
      const answer = new ChatAnswer();
      try {
        const body = { ...chat, stream: true, stream_options: { include_usage: true } };
        const stream = await client.chat.completions.create(body as unknown as OpenAI.ChatCompletionCreateParamsStreaming);
        for await (const chunk of stream) answer.add(chunk);
        return answer.done();
      } catch (thrown) {
        if (!(thrown instanceof APIError)) throw thrown;
        return answer.done({ reason: thrown.headers?.get("x-dragoman-error-reason") ?? "", message: thrown.message });
      }
    },
  };
}

/** curl over HTTP/1.1, reading the event stream as text. */
export function curl(url: string): Client {
  return {
    name: "curl",
    async ask({ chat }) {
      const body = JSON.stringify({ ...chat, stream: true, stream_options: { include_usage: true } });
      const flags = ["-sS", "-N", "-i", "-H", "content-type: application/json", "-H", "expect:", "--data-binary", "@-"];
      const { stdout } = await run("curl", [...flags, `${url}/v1/chat/completions`], body);
      const split = stdout.indexOf("\r\n\r\n");
      const head = stdout.slice(0, split);
      const payload = stdout.slice(split + 4);
      const answer = new ChatAnswer();
      const reason = /^x-dragoman-error-reason: (.*?)\r?$/im.exec(head)?.[1] ?? "";
      if (!/^HTTP\/1\.1 200/.test(head)) return answer.done({ reason, message: JSON.parse(payload).error.message });
      let ended = false;
      let failure: Failure | undefined;
      for (const record of payload.split("\n\n")) {
        if (record === "") continue;
        const data = record.replace(/^data: /, "");
        if (data === "[DONE]") ended = true;
        else if ("error" in JSON.parse(data)) failure = { reason: "", message: JSON.parse(data).error.message };
        else answer.add(JSON.parse(data));
      }
      if (!ended && failure === undefined) failure = { reason: "", message: "the stream ended without [DONE] and without an error" };
      return answer.done(failure);
    },
  };
}

/** buf curl over gRPC, by reflection: it has no schema. */
export function bufCurl(url: string): Client {
  return {
    name: "buf curl",
    async ask({ core }) {
      const request = JSON.stringify(toJson(GenerateRequestSchema, create(GenerateRequestSchema, core)));
      const method = `${url}/${InferenceService.typeName}/Generate`;
      const { stdout, stderr } = await run(
        join(root, "node_modules/.bin/buf"),
        ["curl", "--http2-prior-knowledge", "--protocol", "grpc", "-d", "@-", method],
        request,
      );
      const events = splitJson(stdout).map((text) =>
        fromJson(GenerateResponseSchema, JSON.parse(text) as JsonValue, { ignoreUnknownFields: true }),
      );
      const failed = stderr.trim() !== "" && !/"settled"/.test(stdout);
      if (!failed) return answerOfEvents(events);
      const { message, details = [] } = JSON.parse(stderr) as { message: string; details?: { type: string; value: string }[] };
      const info = details.find(({ type }) => type === ErrorInfoSchema.typeName);
      const reason = info === undefined ? "" : fromBinary(ErrorInfoSchema, Buffer.from(info.value, "base64")).reason.toLowerCase();
      return answerOfEvents(events, { reason, message });
    },
  };
}

/** Several JSON objects, one after the other, as buf curl prints a stream. */
function splitJson(text: string): string[] {
  return text
    .split(/\n(?=\{)/)
    .map((piece) => piece.trim())
    .filter((piece) => piece !== "");
}

/** A client as protoc-gen-grpc would generate it, on @grpc/grpc-js. */
export function grpcJs(url: string): Client {
  const client = new grpc.Client(new URL(url).host, grpc.credentials.createInsecure());
  return {
    name: "grpc-js",
    async ask({ core }) {
      const stream = client.makeServerStreamRequest(
        `/${InferenceService.typeName}/Generate`,
        (request: typeof core) => Buffer.from(toBinary(GenerateRequestSchema, create(GenerateRequestSchema, request))),
        (bytes: Buffer) => fromBinary(GenerateResponseSchema, bytes),
        core,
        new grpc.Metadata(),
      );
      const events: GenerateResponse[] = [];
      try {
        for await (const event of stream) events.push(event as GenerateResponse);
        return answerOfEvents(events);
      } catch (thrown) {
        const error = thrown as grpc.ServiceError;
        const [bytes] = error.metadata?.get("grpc-status-details-bin") ?? [];
        const status = Buffer.isBuffer(bytes) ? fromBinary(StatusSchema, bytes) : undefined;
        const info = status?.details.map((any) => anyUnpack(any, ErrorInfoSchema)).find((detail) => detail !== undefined);
        return answerOfEvents(events, { reason: info?.reason.toLowerCase() ?? "", message: status?.message ?? error.message });
      }
    },
    close: async () => client.close(),
  };
}

/** gRPC-Web over HTTP/1.1 from Node. */
export function grpcWeb(url: string): Client {
  const client = createClient(InferenceService, createGrpcWebTransport({ baseUrl: url, httpVersion: "1.1" }));
  return {
    name: "gRPC-Web",
    async ask({ core }) {
      const events: GenerateResponse[] = [];
      try {
        for await (const event of client.generate(core)) events.push(event);
        return answerOfEvents(events);
      } catch (thrown) {
        const error = ConnectError.from(thrown);
        const reason = error.findDetails(ErrorInfoSchema)[0]?.reason.toLowerCase() ?? "";
        return answerOfEvents(events, { reason, message: error.rawMessage });
      }
    },
  };
}

function run(command: string, flags: readonly string[], input: string): Promise<{ stdout: string; stderr: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, flags, { stdio: ["pipe", "pipe", "pipe"] });
    let stdout = "";
    let stderr = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      stdout += text;
    });
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      stderr += text;
    });
    child.on("error", reject);
    child.on("close", () => resolve({ stdout, stderr }));
    child.stdin.on("error", () => {});
    child.stdin.end(input);
  });
}
