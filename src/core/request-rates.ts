/** Which rates beside those of plain input and output a request may be billed by: what must be reserved for. */
import { type GenerateRequest, Modality, type Part } from "../../gen/dragoman/v1/generate_pb.ts";
import type { RateName } from "./pricing.ts";

/** From this lifetime on, a cache write costs as an hour's does. */
const longLifetimeSeconds = 3_600;

/** In no order, each once. */
export function ratesOfRequest({ messages, tools, cache, outputFormat }: GenerateRequest): RateName[] {
  // Models that think bill it whether or not it was asked for.
  const rates = new Set<RateName>(["reasoning"]);
  const addCache = (marker: { readonly ttlSeconds?: number | undefined } | undefined): void => {
    if (marker === undefined) return;
    rates.add("cache_write");
    if ((marker.ttlSeconds ?? 0) >= longLifetimeSeconds) rates.add("cache_write_1h");
  };
  addCache(cache);
  for (const tool of tools) addCache(tool.cache);
  const addPart = ({ part, cache: marker }: Part): void => {
    addCache(marker);
    if (part.case === "audio") rates.add("audio_input");
    else if (part.case === "image") rates.add("image_input");
    else if (part.case === "video") rates.add("video_input");
    else if (part.case === "toolResult") part.value.content.forEach(addPart);
  };
  for (const { parts } of messages) parts.forEach(addPart);
  for (const modality of outputFormat?.modalities ?? []) {
    if (modality === Modality.AUDIO) rates.add("audio_output");
    else if (modality === Modality.IMAGE) rates.add("image_output");
  }
  return [...rates];
}
