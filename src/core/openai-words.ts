/** Words that Chat Completions and Responses share (openai 7.55), and what they are in the core. */
import { ServiceTier } from "../../gen/dragoman/v1/call_pb.ts";
import { MediaDetail, ReasoningEffort, Verbosity } from "../../gen/dragoman/v1/generate_pb.ts";

/** `reasoning_effort`, `reasoning.effort`. */
export const efforts: Readonly<Record<string, ReasoningEffort>> = {
  none: ReasoningEffort.NONE,
  minimal: ReasoningEffort.MINIMAL,
  low: ReasoningEffort.LOW,
  medium: ReasoningEffort.MEDIUM,
  high: ReasoningEffort.HIGH,
  xhigh: ReasoningEffort.XHIGH,
  max: ReasoningEffort.MAX,
};

/** `service_tier`. */
export const serviceTiers: Readonly<Record<string, ServiceTier>> = {
  auto: ServiceTier.AUTO,
  default: ServiceTier.STANDARD,
  flex: ServiceTier.FLEX,
  priority: ServiceTier.PRIORITY,
  fast: ServiceTier.FAST,
  scale: ServiceTier.RESERVED,
};

/** `detail` of images. */
export const details: Readonly<Record<string, MediaDetail>> = {
  auto: MediaDetail.AUTO,
  low: MediaDetail.LOW,
  high: MediaDetail.HIGH,
  original: MediaDetail.ORIGINAL,
};

/** `verbosity`. */
export const verbosities: Readonly<Record<string, Verbosity>> = {
  low: Verbosity.LOW,
  medium: Verbosity.MEDIUM,
  high: Verbosity.HIGH,
};

/** Media types of `input_audio.format`. */
export const audioTypes: Readonly<Record<string, string>> = { wav: "audio/wav", mp3: "audio/mpeg" };

/** The word for a value of a table of words. */
export function wordFor<Meaning>(table: Readonly<Record<string, Meaning>>, meaning: Meaning | undefined): string | undefined {
  return Object.keys(table).find((word) => table[word] === meaning);
}
