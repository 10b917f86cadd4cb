import type { EmbedRequest } from "../../gen/dragoman/v1/embed_pb.ts";
import { type AttemptCall, type ClientWire, throwIfStopped } from "../core/call.ts";
import type { EmbedCodec, UpstreamRequest } from "../core/dialect.ts";
import type { EmbedReply } from "../core/provider.ts";
import type { Target } from "../core/target.ts";
import { joinEmbeddings, runInLanes, splitInputs } from "./embed-split.ts";
import { joinChunks, textOf } from "./http-reply.ts";
import { type HttpUpstream, isSuccess } from "./http-upstream.ts";
import { settleReport } from "./settle-report.ts";

/** Requests of one split call that run at once. */
const lanes = 4;

/** Vectors of all inputs, asked for in as many requests as the vendor's limit makes necessary. */
export async function embedByHttp(
  upstream: HttpUpstream,
  codec: EmbedCodec,
  request: EmbedRequest,
  target: Target,
  call: AttemptCall,
): Promise<EmbedReply> {
  throwIfStopped(call);
  const wire = call.wire?.format === codec.format && request.inputs.length <= codec.maxInputs ? call.wire : undefined;
  const patched = wire === undefined ? undefined : codec.relay?.patchRequest(request, wire, target);
  if (patched !== undefined) return embedOnce(request, patched, call.signal, wire);
  // Written whole, so that paths in the report are those of the client's request.
  const whole = codec.writeRequest(request, target);
  settleReport(whole.report, call);
  const parts = splitInputs(request, codec.maxInputs);
  if (parts.length === 1) return embedOnce(request, whole, call.signal);
  const replies = await runInLanes(parts, lanes, call.signal, (part, signal) => embedOnce(part, codec.writeRequest(part, target), signal));
  return joinEmbeddings(replies, parts);

  /** `wire`: the request was patched, and the answer may be relayed. */
  async function embedOnce(asked: EmbedRequest, written: UpstreamRequest, signal: AbortSignal, wire?: ClientWire): Promise<EmbedReply> {
    const reply = await upstream.post(written, target, call, signal);
    if (!isSuccess(reply.status)) throw await upstream.readError(reply, codec);
    try {
      const tap = wire === undefined ? undefined : codec.relay?.tapAnswer(asked, wire, upstream.name);
      const chunks = await upstream.readJsonChunks(reply, { see: tap && ((chunk) => tap.see(chunk)) });
      const tapped = tap?.end();
      if (tapped !== undefined) return { ...tapped, raw: chunks };
      const response = codec.readResponse(textOf(joinChunks(chunks), upstream.origin), asked, upstream.name);
      joinEmbeddings([response], [asked]);
      return response;
    } catch (thrown) {
      throw upstream.redacted(thrown);
    }
  }
}
