/** The status of a gRPC call in its trailers, written as the gRPC protocol has it. */
import { create } from "@bufbuild/protobuf";
import { anyPack } from "@bufbuild/protobuf/wkt";
import { type ConnectError, encodeBinaryHeader } from "@connectrpc/connect";
import { type Status, StatusSchema } from "../../gen/google/rpc/status_pb.ts";

/**
 * Percent-encodes what must be encoded (https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md, Percent-Encoded)
 * and nothing else. encodeURIComponent would encode `: / ? & = + $ , ; @ #` too, and grpc-js, which decodes with
 * decodeURI, would show them as %3A and so on.
 */
export function encodeGrpcMessage(message: string): string {
  return message.replace(/[^\x20-\x24\x26-\x7e]+/g, (text) => encodeURIComponent(text.toWellFormed()));
}

/** Sets status, message, details and metadata. */
export function writeGrpcStatus(headers: Headers, error: ConnectError): void {
  error.metadata.forEach((value, name) => {
    headers.set(name, value);
  });
  headers.set("grpc-status", String(error.code));
  headers.set("grpc-message", encodeGrpcMessage(error.rawMessage));
  headers.set("grpc-status-details-bin", encodeBinaryHeader(toStatus(error), StatusSchema));
}

function toStatus(error: ConnectError): Status {
  const details = error.details.flatMap((detail) => ("desc" in detail ? [anyPack(detail.desc, create(detail.desc, detail.value))] : []));
  return create(StatusSchema, { code: error.code, message: error.rawMessage, details });
}
