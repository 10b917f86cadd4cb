import type { GenerateRequest } from "../../gen/dragoman/v1/generate_pb.ts";
import { type AttemptCall, throwIfStopped } from "../core/call.ts";
import type { AnswerRelay, UpstreamCodec, UpstreamRequest } from "../core/dialect.ts";
import { GatewayError } from "../core/error.ts";
import { type EventBatch, startedEvent } from "../core/event.ts";
import { SseReader } from "../core/sse.ts";
import type { Target } from "../core/target.ts";
import type { HttpReply } from "./http-client.ts";
import { isStream, joinChunks, mediaType, openBody, textOf, wrongType } from "./http-reply.ts";
import { type HttpUpstream, isSuccess } from "./http-upstream.ts";
import { inlineUntaken, type MediaFetching, settleInlined } from "./inline-media.ts";
import { disownSignatures, refusesSignature } from "./refused-signatures.ts";
import { cutFrames, cutRecords } from "./stream-cutter.ts";

export interface GenerateParts {
  readonly upstream: HttpUpstream;
  readonly codec: UpstreamCodec;
  /** Absent: what a target does not take by its address is refused. */
  readonly media: MediaFetching | undefined;
}

/** A request that was sent, its answer, and how that is read. */
interface Sent {
  readonly written: UpstreamRequest;
  readonly reply: HttpReply;
  /** Where the client may have the very bytes of the answer. */
  readonly relay: AnswerRelay | undefined;
}

const eventStreamType = "text/event-stream";

/** Asks for an answer, streamed unless the call is buffered, and reads it as it comes. */
export async function* generateByHttp(
  parts: GenerateParts,
  request: GenerateRequest,
  target: Target,
  call: AttemptCall,
): AsyncGenerator<EventBatch> {
  throwIfStopped(call);
  const { upstream, codec, media } = parts;
  const stream = !call.buffered;
  const wire = call.wire?.format === codec.format ? call.wire : undefined;
  const inlining = inlineUntaken(request, codec, target, call, media);
  const inlined = inlining instanceof Promise ? await inlining : inlining;
  const write = (asked: GenerateRequest, isAsSent: boolean): UpstreamRequest => {
    const patched = wire !== undefined && isAsSent ? codec.relay?.patchRequest(asked, wire, target, { stream }) : undefined;
    const written = patched ?? codec.writeRequest(asked, target, { stream });
    settleInlined(written.report, inlined, call);
    return written;
  };
  let written = write(inlined.request, inlined.request === request);
  if (call.options?.explain) {
    // A plan: the request was written, so the report is complete, and nothing is sent.
    yield { events: [startedEvent({})] };
    return;
  }
  const { streamType = eventStreamType } = codec;
  const post = () => upstream.post(written, target, call, call.signal, stream ? streamType : undefined);
  let reply = await post();
  if (!isSuccess(reply.status)) {
    const error = await upstream.readError(reply, codec);
    const disowned = refusesSignature(error) && call.options?.strict !== true ? disownSignatures(inlined.request) : undefined;
    if (disowned === undefined) throw error;
    call.translation.length = 0;
    written = write(disowned, false);
    reply = await post();
    if (!isSuccess(reply.status)) throw await upstream.readError(reply, codec);
  }
  const sent = { written, reply, relay: wire === undefined ? undefined : codec.relay?.relayAnswer(written, wire) };
  if (stream && isStream(mediaType(reply), streamType)) yield* readStream(parts, sent);
  else yield await readWhole(parts, sent, stream ? streamType : undefined);
}

/** Batches of one stream: what one read of the socket gave. */
async function* readStream({ upstream, codec }: GenerateParts, { written, reply, relay }: Sent): AsyncGenerator<EventBatch> {
  const body = openBody(reply, upstream.origin);
  const reader = codec.eventReader(upstream.name, written.state);
  const cutter = relay === undefined ? cutFrames(codec.frameReader?.() ?? new SseReader(), reader) : cutRecords(relay, reader);
  let drained = false;
  let isEmpty = true;
  let hasEnded = false;
  try {
    for (;;) {
      const { done, value } = await body.next();
      hasEnded = done === true;
      if (done !== true) cutter.read(value);
      if (done === true || reader.done) cutter.end();
      if (done !== true && reader.done) {
        // The answer is complete; the socket is good for the next one if the upstream ends here too.
        body.drain();
        drained = true;
      }
      const batch = cutter.take();
      if (batch !== undefined) {
        isEmpty = false;
        yield batch;
      }
      if (done === true || reader.done) return;
    }
  } catch (thrown) {
    cutter.abandon();
    const batch = cutter.take();
    if (batch !== undefined) yield batch;
    throw upstream.redacted(hasEnded && isEmpty && batch === undefined ? asEmpty(thrown) : thrown);
  } finally {
    if (!drained) await body.return();
  }
}

/** `streamType` where a stream was asked for and something else came. */
async function readWhole(
  { upstream, codec }: GenerateParts,
  { written, reply, relay }: Sent,
  streamType: string | undefined,
): Promise<EventBatch> {
  try {
    const bytes = joinChunks(await upstream.readJsonChunks(reply, { expected: streamType }));
    const text = textOf(bytes, upstream.origin);
    const events = codec.readResponse(text, upstream.name, written.state);
    // A body that reads as an error says more; one that reads as an answer is still not the stream that was asked for.
    if (streamType !== undefined) throw wrongType(upstream.origin, mediaType(reply), streamType);
    return relay?.keepsWhole(text, events) === true ? { events, raw: bytes } : { events };
  } catch (thrown) {
    throw upstream.redacted(thrown);
  }
}

/** The failure of a stream that ended well and held nothing. */
function asEmpty(thrown: unknown): unknown {
  return thrown instanceof GatewayError ? new GatewayError(thrown.reason, thrown.message, { ...thrown.details, empty: true }) : thrown;
}
