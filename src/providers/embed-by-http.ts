import type { EmbedRequest, EmbedResponse } from "../../gen/dragoman/v1/embed_pb.ts";
import { type AttemptCall, throwIfStopped } from "../core/call.ts";
import type { EmbedCodec, UpstreamRequest } from "../core/dialect.ts";
import type { Target } from "../core/target.ts";
import { joinEmbeddings, runInLanes, splitInputs } from "./embed-split.ts";
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
): Promise<EmbedResponse> {
  throwIfStopped(call);
  // Written whole, so that paths in the report are those of the client's request.
  const whole = codec.writeRequest(request, target);
  settleReport(whole.report, call);
  const parts = splitInputs(request, codec.maxInputs);
  if (parts.length === 1) return embedOnce(request, whole, call.signal);
  const replies = await runInLanes(parts, lanes, call.signal, (part, signal) => embedOnce(part, codec.writeRequest(part, target), signal));
  return joinEmbeddings(replies, parts);

  async function embedOnce(asked: EmbedRequest, written: UpstreamRequest, signal: AbortSignal): Promise<EmbedResponse> {
    const reply = await upstream.post(written, target, call, signal);
    if (!isSuccess(reply.status)) throw await upstream.readError(reply, codec);
    try {
      const response = codec.readResponse(await upstream.readJsonText(reply), asked, upstream.name);
      joinEmbeddings([response], [asked]);
      return response;
    } catch (thrown) {
      throw upstream.redacted(thrown);
    }
  }
}
