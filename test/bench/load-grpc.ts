/**
 * The loads over gRPC, made with the usual Node client. A program of its own, so that it has its own core; it prints one
 * line of JSON (LoadResult).
 *
 *   node load-grpc.ts port=P kind=complete|generate model=M connections=N seconds=S [total=N] [markers=N] [authorization=VALUE]
 */
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { Client, credentials, Metadata, type ServiceError } from "@grpc/grpc-js";
import {
  CompleteResponseSchema,
  type GenerateRequest,
  GenerateRequestSchema,
  GenerateResponseSchema,
  Role,
} from "../../gen/dragoman/v1/generate_pb.ts";
import { CompleteRequestSchema } from "../../gen/dragoman/v1/inference_service_pb.ts";
import { chatText } from "./answers.ts";
import { MarkerCheck, microseconds, readSettings, Tally } from "./tally.ts";

const settings = readSettings(process.argv.slice(2));
const count = (key: string, absent: number) => Number(settings.get(key) ?? absent);
const markers = count("markers", 0);
const tally = new Tally();
const client = new Client(`127.0.0.1:${settings.get("port")}`, credentials.createInsecure());
const metadata = new Metadata();
const authorization = settings.get("authorization");
if (authorization !== undefined) metadata.set("authorization", authorization);
const service = "/dragoman.v1.InferenceService";

function request(): GenerateRequest {
  return create(GenerateRequestSchema, {
    model: settings.get("model") ?? "",
    messages: [
      {
        role: Role.SYSTEM,
        parts: [{ part: { case: "text", value: "You are an interpreter. Answer in full sentences and leave nothing out." } }],
      },
      {
        role: Role.USER,
        parts: [{ part: { case: "text", value: "Who were the dragomans, where did they work, and what were they paid for?" } }],
      },
    ],
    sampling: { temperature: 0.2, maxOutputTokens: 256 },
  });
}

const completeBytes = Buffer.from(toBinary(CompleteRequestSchema, create(CompleteRequestSchema, { generate: request() })));
const generateBytes = Buffer.from(toBinary(GenerateRequestSchema, request()));
const identity = (bytes: Buffer) => bytes;
const faultOf = (error: ServiceError) => `grpc-status ${error.code}: ${error.details}`;

function complete(): Promise<void> {
  const began = microseconds();
  return new Promise((resolve) => {
    client.makeUnaryRequest<Buffer, Buffer>(`${service}/Complete`, identity, identity, completeBytes, metadata, (error, reply) => {
      tally.answered(began, reply?.length ?? 0, error ? faultOf(error) : completeFault(reply));
      resolve();
    });
  });
}

function completeFault(reply: Buffer | undefined): string {
  if (reply === undefined) return "no message";
  const { candidates, usage } = fromBinary(CompleteResponseSchema, reply);
  const text = candidates[0]?.message?.parts.map(({ part }) => (part.case === "text" ? part.value : "")).join("");
  if (text !== chatText) return `wrong text: ${text?.slice(0, 100)}`;
  return usage?.inputTokens === 212 ? "" : "wrong usage";
}

function generate(): Promise<void> {
  const began = microseconds();
  const check = new MarkerCheck(tally);
  let bytes = 0;
  let finished = 0;
  return new Promise((resolve) => {
    const stream = client.makeServerStreamRequest<Buffer, Buffer>(`${service}/Generate`, identity, identity, generateBytes, metadata);
    let failure = "";
    stream.on("data", (message: Buffer) => {
      if (bytes === 0) tally.firstByte(began);
      bytes += message.length;
      const { event } = fromBinary(GenerateResponseSchema, message);
      if (event.case === "blockDelta" && event.value.delta.case === "text") check.take(event.value.delta.value);
      else if (event.case === "finished") finished++;
    });
    stream.on("error", (error: ServiceError) => (failure = faultOf(error)));
    stream.on("close", () => {
      const fault = failure || check.fault(markers) || (finished === 1 ? "" : `finished came ${finished} times`);
      tally.answered(began, bytes, fault);
      resolve();
    });
  });
}

const call = settings.get("kind") === "complete" ? complete : generate;
const end = microseconds() + count("seconds", 1) * 1e6;
let left = count("total", Number.POSITIVE_INFINITY);

async function callUntilOver(): Promise<void> {
  while (left-- > 0 && microseconds() < end) await call();
}

await Promise.all(Array.from({ length: count("connections", 1) }, callUntilOver));
tally.print();
client.close();
