/** What the tests of the upstream half share: a target, and the body that a request is written as. */
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { GenerateRequestSchema } from "../../../gen/dragoman/v1/generate_pb.ts";
import { createOpenAiResponsesCodec, type OpenAiResponsesQuirks } from "../../../src/codecs/openai-responses/index.ts";
import { GatewayError } from "../../../src/core/error.ts";
import type { ModelTraits } from "../../../src/core/target.ts";

export interface Written {
  // biome-ignore lint/suspicious/noExplicitAny: tests look into JSON at will
  readonly body: any;
  readonly notes: string[];
  /** Paths that are refused. */
  readonly refused: string[];
  readonly state: unknown;
}

export function write(
  request: MessageInitShape<typeof GenerateRequestSchema>,
  { traits = {}, quirks = {} }: { traits?: ModelTraits; quirks?: OpenAiResponsesQuirks } = {},
): Written {
  const target = { id: "p/m", provider: "p", model: "m", traits };
  const written = createOpenAiResponsesCodec(quirks).writeRequest(create(GenerateRequestSchema, { model: "x", ...request }), target, {
    stream: false,
  });
  let refused: string[] = [];
  try {
    written.report.settle(false);
  } catch (error) {
    refused = error instanceof GatewayError ? (error.details.fields ?? []).map(({ field }) => field) : [];
  }
  const words = ["", "dropped", "coerced", "emulated", "defaulted"];
  return {
    body: JSON.parse(written.body),
    notes: written.report.notes.map(({ action, path }) => `${words[action]} ${path}`),
    refused,
    state: written.state,
  };
}
