/** What is common to all methods of a vendor that speaks gRPC: its credential and its statuses. */
import type { IncomingHttpHeaders } from "node:http2";
import { createRegistry, fromJson, type JsonValue, toBinary } from "@bufbuild/protobuf";
import {
  BadRequestSchema,
  ErrorInfoSchema,
  LocalizedMessageSchema,
  QuotaFailureSchema,
  RetryInfoSchema,
} from "../../../../gen/google/rpc/error_details_pb.ts";
import { StatusSchema } from "../../../../gen/google/rpc/status_pb.ts";
import { isObject } from "../../shape.ts";
import { geminiVendor } from "../gemini/vendor.ts";
import type { Problem } from "../problem.ts";
import type { GrpcStatus } from "./exchange.ts";

export interface GrpcVendor {
  readonly name: string;
  /** Key of the call, or the refusal for a missing or bad one. */
  credential(headers: IncomingHttpHeaders): { readonly key: string; readonly problem?: Problem };
  status(problem: Problem): GrpcStatus;
}

const codes: Readonly<Record<string, number>> = {
  CANCELLED: 1,
  INVALID_ARGUMENT: 3,
  DEADLINE_EXCEEDED: 4,
  NOT_FOUND: 5,
  PERMISSION_DENIED: 7,
  RESOURCE_EXHAUSTED: 8,
  UNIMPLEMENTED: 12,
  INTERNAL: 13,
  UNAVAILABLE: 14,
  UNAUTHENTICATED: 16,
};
const codeOfHttp: Readonly<Record<number, number>> = { 400: 3, 401: 16, 403: 7, 404: 5, 429: 8, 499: 1, 500: 13, 501: 12, 504: 4 };
const registry = createRegistry(BadRequestSchema, ErrorInfoSchema, LocalizedMessageSchema, QuotaFailureSchema, RetryInfoSchema);

/** The code of an HTTP status that says the same. */
function codeOf(status: number): number {
  return codeOfHttp[status] ?? (status < 500 ? 3 : 14);
}

/** The statuses of the HTTP API carry the same facts. */
export const geminiGrpcVendor: GrpcVendor = {
  name: "gemini",
  credential: (headers) => geminiVendor.credential(headers, new URLSearchParams()),
  status(problem) {
    const { error } = geminiVendor.error(problem);
    const { message, status, details = [] } = isObject(error) ? error : {};
    const code = codes[String(status)] ?? codeOf(problem.status);
    const written = fromJson(StatusSchema, { code, message: String(message), details: details as JsonValue }, { registry });
    return { code, message: String(message), details: toBinary(StatusSchema, written) };
  },
};

const xaiMessages: Readonly<Record<number, string>> = {
  429: "Too many requests. Please slow down.",
  500: "Internal error.",
  503: "Service temporarily unavailable.",
  504: "Deadline exceeded.",
};

export const xaiVendor: GrpcVendor = {
  name: "xai",
  credential({ authorization = "" }) {
    const key = /^Bearer\s+(\S+)$/i.exec(authorization)?.[1] ?? "";
    if (key === "") return { key, problem: { status: 401, message: "No credentials were provided." } };
    return key.includes("bad") ? { key, problem: { status: 401, message: `Incorrect API key provided: ${key.slice(0, 2)}***.` } } : { key };
  },
  /** No details: the text is all there is. */
  status: ({ status, message }) => ({ code: codeOf(status), message: message ?? xaiMessages[status] ?? `Failed with ${status}.` }),
};
