/** Media that a target does not take by its address: fetched, and put into the request as data (contract.md 3.2, `image` url). */
import type { GenerateRequest, Media, Part } from "../../gen/dragoman/v1/generate_pb.ts";
import type { AttemptCall } from "../core/call.ts";
import type { MediaKind, UpstreamCodec } from "../core/dialect.ts";
import { GatewayError, invalidField } from "../core/error.ts";
import type { FetchedMedia, MediaFetcher } from "../core/media-fetcher.ts";
import type { Target } from "../core/target.ts";
import type { TranslationReport } from "../core/translation.ts";
import { runInLanes } from "./embed-split.ts";
import { settleReport } from "./settle-report.ts";

export interface MediaFetching {
  readonly fetcher: MediaFetcher;
  /** Most addresses of one request. */
  readonly maxPerRequest: number;
}

/** Fetches of one request that run at once. */
const lanes = 4;

const kinds: ReadonlySet<string | undefined> = new Set<MediaKind>(["image", "audio", "file", "video"]);

interface Place {
  readonly url: string;
  /** In the core request. */
  readonly path: string;
}

type UrlCodec = Pick<UpstreamCodec, "takesUrl">;

/** A request as its target takes it. */
export interface InlinedMedia {
  readonly request: GenerateRequest;
  /** Addresses that the target does not take. */
  readonly places: readonly Place[];
  /** Whether what they lead to was fetched. */
  readonly isFetched: boolean;
  /** What would help where it was not. */
  readonly help: string;
}

/**
 * Fetches what the target does not take by its address, where that is allowed: `media` is set and the call is not strict, since
 * then nothing may be sent in another way. A promise only where something is fetched. Throws, or rejects with, invalid_request with
 * the path of an address that cannot be had.
 */
export function inlineUntaken(
  request: GenerateRequest,
  codec: UrlCodec,
  target: Target,
  call: AttemptCall,
  media: MediaFetching | undefined,
): InlinedMedia | Promise<InlinedMedia> {
  const places = untakenUrls(request, codec, target);
  const help =
    media === undefined ? "the gateway fetches it where media.fetch is true in its configuration" : "without strict the gateway fetches it";
  if (places.length === 0 || media === undefined || call.options?.strict === true) return { request, places, isFetched: false, help };
  return inlineMedia(request, places, media, call.signal).then((inlined) => ({ request: inlined, places, isFetched: true, help }));
}

/** Settles a request's report with what was fetched in it. Throws as `settleReport` does, with what would help where nothing was fetched. */
export function settleInlined(report: TranslationReport, { places, isFetched, help }: InlinedMedia, call: AttemptCall): void {
  if (isFetched) for (const { path } of places) report.emulated(path, "fetched by the gateway and sent as data");
  try {
    settleReport(report, call);
  } catch (thrown) {
    if (isFetched || places.length === 0 || !(thrown instanceof GatewayError)) throw thrown;
    throw new GatewayError(thrown.reason, `${thrown.message}; send the data itself, or ${help}`, thrown.details);
  }
}

/** Every URL of the request that the target does not take as one. */
function untakenUrls(request: GenerateRequest, codec: UrlCodec, target: Target): readonly Place[] {
  if (codec.takesUrl === undefined) return [];
  const places: Place[] = [];
  const visit = (part: Part, path: string): void => {
    if (part.part.case === "toolResult") {
      part.part.value.content.forEach((inner, index) => {
        visit(inner, `${path}.tool_result.content[${index}]`);
      });
      return;
    }
    const media = mediaOf(part);
    if (media?.source.case !== "url") return;
    const kind = part.part.case as MediaKind;
    if (codec.takesUrl?.(media.source.value, kind, target) === false) places.push({ url: media.source.value, path: `${path}.${kind}.url` });
  };
  request.messages.forEach(({ parts }, index) => {
    parts.forEach((part, at) => {
      const { case: kind } = part.part;
      if (kind === "toolResult" || kinds.has(kind)) visit(part, `messages[${index}].parts[${at}]`);
    });
  });
  return places;
}

/** The request with the data in place of these addresses. Throws invalid_request with the path of one that cannot be had. */
async function inlineMedia(
  request: GenerateRequest,
  places: readonly Place[],
  { fetcher, maxPerRequest }: MediaFetching,
  signal: AbortSignal,
): Promise<GenerateRequest> {
  const first = new Map<string, Place>();
  for (const place of places) if (!first.has(place.url)) first.set(place.url, place);
  const wanted = [...first.values()];
  const surplus = wanted[maxPerRequest];
  if (surplus !== undefined) throw invalidField(surplus.path, `is one address too many: ${maxPerRequest} are fetched for one request`);
  const fetched = await runInLanes(wanted, lanes, signal, async ({ url, path }, both) => {
    try {
      return await fetcher.fetch(url, both);
    } catch (thrown) {
      if (thrown instanceof GatewayError && thrown.reason === "invalid_request") throw invalidField(path, thrown.message);
      throw thrown;
    }
  });
  const byUrl = new Map(wanted.map(({ url }, index) => [url, fetched[index] as FetchedMedia]));
  const messages = request.messages.map((message) => ({ ...message, parts: message.parts.map((part) => withData(part, byUrl)) }));
  return { ...request, messages };
}

function withData(part: Part, byUrl: ReadonlyMap<string, FetchedMedia>): Part {
  if (part.part.case === "toolResult") {
    const result = part.part.value;
    return { ...part, part: { case: "toolResult", value: { ...result, content: result.content.map((inner) => withData(inner, byUrl)) } } };
  }
  const media = mediaOf(part);
  const fetched = media?.source.case === "url" ? byUrl.get(media.source.value) : undefined;
  if (media === undefined || fetched === undefined) return part;
  const value: Media = { ...media, source: { case: "data", value: fetched.data }, mimeType: fetched.mediaType || media.mimeType };
  return { ...part, part: { case: part.part.case as MediaKind, value } };
}

function mediaOf({ part }: Part): Media | undefined {
  return kinds.has(part.case) ? (part.value as Media) : undefined;
}
