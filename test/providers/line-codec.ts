/** The simplest codecs that can be: one word a frame, for tests of what all HTTP providers share. */
import { create } from "@bufbuild/protobuf";
import { EmbeddingType, EmbedResponseSchema } from "../../gen/dragoman/v1/embed_pb.ts";
import { BlockKind, FinishReason } from "../../gen/dragoman/v1/generate_pb.ts";
import { UsageSchema } from "../../gen/dragoman/v1/usage_pb.ts";
import type { EmbedCodec, UpstreamCodec } from "../../src/core/dialect.ts";
import { GatewayError } from "../../src/core/error.ts";
import { EventBuilder, finishedEvent, startedEvent } from "../../src/core/event.ts";
import { TranslationReport } from "../../src/core/translation.ts";

interface Line {
  readonly text?: string;
  readonly error?: string;
}

function failure(status: number, provider: string, message: string): GatewayError {
  const upstream = {
    provider,
    httpStatus: status,
    type: "",
    code: "",
    message,
    param: "",
    requestId: "",
    midStream: status === 0,
    bodyJson: JSON.stringify({ message }),
  };
  return new GatewayError("provider_error", `${provider}: ${message}`, { upstream });
}

export const lineCodec: UpstreamCodec = {
  format: "lines",
  writeRequest(request, target, { stream }) {
    const report = new TranslationReport("lines");
    if (request.sampling?.topK !== undefined) report.dropped("sampling.top_k", "lines have no top_k");
    return {
      path: "/say",
      headers: { "x-codec": "lines" },
      body: JSON.stringify({ model: target.model, stream }),
      report,
      state: { model: target.model },
    };
  },
  eventReader(provider, state) {
    const builder = new EventBuilder();
    let block: number | undefined;
    let done = false;
    return {
      read({ data }) {
        if (data === "[DONE]") {
          done = true;
          builder.endOpenBlocks();
          builder.push(finishedEvent({ candidate: 0, reason: FinishReason.STOP }));
          return builder.take();
        }
        const line = JSON.parse(data) as Line;
        if (line.error !== undefined) throw failure(0, provider, line.error);
        if (block === undefined) {
          builder.push(startedEvent({ servedModel: (state as { model: string }).model, provider }));
          block = builder.startBlock(0, BlockKind.TEXT);
        }
        builder.text(0, block, line.text ?? "");
        return builder.take();
      },
      end() {
        if (!done) throw new GatewayError("provider_error", `${provider} ended its stream without an end mark`);
        return builder.take();
      },
      abandon() {
        builder.endOpenBlocks({ incomplete: true });
        return builder.take();
      },
      get done() {
        return done;
      },
    };
  },
  readResponse(body, provider, state) {
    const line = JSON.parse(body) as Line;
    if (line.error !== undefined) throw failure(200, provider, line.error);
    const reader = this.eventReader(provider, state);
    return [...reader.read({ event: "", data: body }), ...reader.read({ event: "", data: "[DONE]" }), ...reader.end()];
  },
  readError: (status, body, _headers, provider) => failure(status, provider, body),
};

/** Takes three inputs at most; vectors of one element: the length of the text. */
export const lengthCodec: EmbedCodec = {
  format: "lengths",
  maxInputs: 3,
  writeRequest(request) {
    const report = new TranslationReport("lengths");
    if (request.inputs.some(({ input }) => input.value === "")) report.refused("inputs[0]", "is empty");
    const texts = request.inputs.map(({ input }) => (input.case === "text" ? input.value : ""));
    return { path: "/measure", headers: {}, body: JSON.stringify(texts), report };
  },
  readResponse(body, _request, provider) {
    const lengths = JSON.parse(body) as number[];
    return create(EmbedResponseSchema, {
      embeddings: lengths.map((length, index) => ({ index, type: EmbeddingType.FLOAT, values: [length] })),
      usage: create(UsageSchema, { inputTokens: lengths.length }),
      provider,
      dimensions: 1,
    });
  },
  readError: (status, body, _headers, provider) => failure(status, provider, body),
};
