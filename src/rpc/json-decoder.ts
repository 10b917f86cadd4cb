/** Reads messages in JSON as strictly as the HTTP surfaces read theirs: UTF-8, depth, number of values, duplicate keys, types. */
import type { DescMessage } from "@bufbuild/protobuf";
import { GatewayError } from "../core/error.ts";
import { JsonError, type JsonLimits, type JsonValue, parseJson } from "../core/json.ts";
import { idsWithoutCall } from "./call-ids.ts";
import { toConnectError } from "./connect-error.ts";
import { findJsonViolations } from "./json-shape.ts";

/** Options for Connect's JSON codec. It asks `textDecoder` for the text of each message before it parses it. */
export interface StrictJsonOptions {
  /** Members of a newer contract are no error. */
  readonly ignoreUnknownFields: true;
  readonly textDecoder: { decode(bytes: Uint8Array): string };
}

export function strictJson(message: DescMessage, limits: JsonLimits): StrictJsonOptions {
  const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  return {
    ignoreUnknownFields: true,
    textDecoder: {
      decode(bytes) {
        try {
          const text = decodeUtf8(utf8, bytes);
          check(message, parse(text, limits));
          return text;
        } catch (thrown) {
          throw toConnectError(GatewayError.from(thrown), idsWithoutCall(undefined));
        }
      },
    },
  };
}

function decodeUtf8(utf8: InstanceType<typeof TextDecoder>, bytes: Uint8Array): string {
  try {
    return utf8.decode(bytes);
  } catch {
    throw new GatewayError("invalid_request", "the message is not UTF-8 text");
  }
}

function parse(text: string, limits: JsonLimits): JsonValue {
  try {
    return parseJson(text, limits);
  } catch (thrown) {
    if (!(thrown instanceof JsonError)) throw thrown;
    throw new GatewayError("invalid_request", `the message is not valid JSON: ${thrown.message}`);
  }
}

function check(message: DescMessage, value: JsonValue): void {
  const fields = findJsonViolations(message, value);
  const [first] = fields;
  if (first !== undefined) throw new GatewayError("invalid_request", `${first.field}: ${first.description}`, { fields });
}
