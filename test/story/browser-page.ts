/** Runs in the browser: the generated client on connect-web, nothing else. */
import { fromJson, type JsonValue, toJson } from "@bufbuild/protobuf";
import { ConnectError, createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-web";
import { GenerateRequestSchema, GenerateResponseSchema } from "../../gen/dragoman/v1/generate_pb.ts";
import { InferenceService } from "../../gen/dragoman/v1/inference_service_pb.ts";
import { ErrorInfoSchema } from "../../gen/google/rpc/error_details_pb.ts";

/** Text in, text out: a request and the events with a failure, as JSON. */
async function ask(baseUrl: string, request: string): Promise<string> {
  const client = createClient(InferenceService, createConnectTransport({ baseUrl }));
  const events: JsonValue[] = [];
  try {
    for await (const event of client.generate(fromJson(GenerateRequestSchema, JSON.parse(request))))
      events.push(toJson(GenerateResponseSchema, event));
    return JSON.stringify({ events });
  } catch (thrown) {
    const error = ConnectError.from(thrown);
    const reason = error.findDetails(ErrorInfoSchema)[0]?.reason.toLowerCase() ?? "";
    return JSON.stringify({ events, failure: { reason, message: error.rawMessage } });
  }
}

Object.assign(globalThis, { ask });
