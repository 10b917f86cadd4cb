/** Media that a target does not take by its address: fetched, and put into the request as data (contract.md 3.2, `image` url). */
import type { GenerateRequest, Media, Part } from "../../gen/dragoman/v1/generate_pb.ts";
import type { MediaKind, UpstreamCodec } from "../core/dialect.ts";
import { GatewayError, invalidField } from "../core/error.ts";
import type { FetchedMedia, MediaFetcher } from "../core/media-fetcher.ts";
import type { Target } from "../core/target.ts";
import { runInLanes } from "./embed-split.ts";

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

/** Every URL of the request that the target does not take as one. */
export function untakenUrls(request: GenerateRequest, codec: UpstreamCodec, target: Target): readonly Place[] {
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
      visit(part, `messages[${index}].parts[${at}]`);
    });
  });
  return places;
}

/** The request with the data in place of these addresses. Throws invalid_request with the path of one that cannot be had. */
export async function inlineMedia(
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
