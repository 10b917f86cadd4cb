/**
 * Cache points: collected while blocks are written, chosen once the whole request stands, and put in as blocks of their
 * own after what they end. The service takes four, none after reasoning, and wants longer lifetimes before shorter ones.
 * https://docs.aws.amazon.com/bedrock/latest/userguide/prompt-caching.html
 */
import type { CacheMarker, CacheOptions } from "../../../gen/dragoman/v1/call_pb.ts";
import type { WritableObject } from "../../core/json.ts";
import type { TranslationReport } from "../../core/translation.ts";
import type { BedrockModelQuirks } from "./quirks.ts";
import { cacheLifetimes, maxCachePoints } from "./wire.ts";

interface Marked {
  readonly block: WritableObject;
  readonly path: string;
  /** Seconds as the service offers them; undefined: its default. */
  seconds: number | undefined;
}

/** Lists of the request in the order in which its prefix is cached. */
export interface Prefix {
  readonly tools: WritableObject[];
  readonly system: WritableObject[];
  readonly messages: readonly { readonly content: WritableObject[] }[];
}

const shortest = cacheLifetimes[0].seconds;
const longest = cacheLifetimes[cacheLifetimes.length - 1]?.seconds ?? shortest;

export class CachePoints {
  readonly #report: TranslationReport;
  readonly #quirks: BedrockModelQuirks;
  readonly #marked = new Map<WritableObject, Marked>();

  constructor(report: TranslationReport, quirks: BedrockModelQuirks) {
    this.#report = report;
    this.#quirks = quirks;
  }

  /** Marks the end of a prefix after `block`; where there is none, the marker has nowhere to go. */
  mark(block: WritableObject | undefined, marker: CacheMarker | undefined, path: string): void {
    if (marker === undefined) return;
    if (block === undefined) this.#report.dropped(path, "nothing stands before it that could be cached");
    else if (!this.#quirks.cachePoints) this.#report.dropped(path, "the model has no prompt cache");
    else if (!this.#marked.has(block)) this.#marked.set(block, { block, path, seconds: this.#lifetime(marker.ttlSeconds, path) });
  }

  /** One marker at the end of the prompt. */
  markEnd({ automatic, ttlSeconds }: CacheOptions, { messages }: Prefix): void {
    if (!automatic) {
      if (ttlSeconds !== undefined) this.#report.dropped("cache.ttl_seconds", "only cache points have a lifetime");
      return;
    }
    if (!this.#quirks.cachePoints) {
      this.#report.dropped("cache.automatic", "the model has no prompt cache");
      return;
    }
    const last = messages.at(-1)?.content.at(-1);
    if (last === undefined || this.#marked.has(last)) return;
    this.#report.emulated("cache.automatic", "a cache point after the last message");
    this.#marked.set(last, { block: last, path: "cache.automatic", seconds: this.#lifetime(ttlSeconds, "cache.ttl_seconds") });
  }

  /** Puts in the points that the service takes, and reports the others. */
  settle({ tools, system, messages }: Prefix): void {
    const [ofTools, ofSystem, ofMessages] = [
      this.#of(tools),
      this.#of(system),
      messages.flatMap(({ content }) => this.#of(content)),
    ] as const;
    const all = [...ofTools, ...ofSystem, ...ofMessages];
    const kept = new Set<Marked>();
    for (const marked of [ofTools.at(-1), ofSystem.at(-1), ...all.toReversed()]) {
      if (marked !== undefined && kept.size < maxCachePoints) kept.add(marked);
    }
    let longer = false;
    for (const marked of all.toReversed()) {
      if (!kept.has(marked)) {
        this.#report.dropped(marked.path, `at most ${maxCachePoints} cache points are taken`);
        continue;
      }
      if (longer && marked.seconds !== longest) {
        marked.seconds = longest;
        this.#report.coerced(marked.path, `kept for ${longest} seconds, as a later one is`);
      }
      longer ||= marked.seconds === longest;
    }
    for (const list of [tools, system, ...messages.map(({ content }) => content)]) this.#insert(list, kept);
  }

  #of(blocks: readonly WritableObject[]): Marked[] {
    return blocks.flatMap((block) => this.#marked.get(block) ?? []);
  }

  #insert(list: WritableObject[], kept: ReadonlySet<Marked>): void {
    const blocks = list.splice(0);
    for (const block of blocks) {
      list.push(block);
      const marked = this.#marked.get(block);
      if (marked !== undefined && kept.has(marked)) list.push(writePoint(marked.seconds));
    }
  }

  /** The next larger lifetime that the service offers, the largest at most. */
  #lifetime(seconds: number | undefined, path: string): number | undefined {
    if (seconds === undefined) return undefined;
    if (!this.#quirks.cacheLifetimes) {
      if (seconds !== shortest) this.#report.coerced(path, `kept for ${shortest} seconds`);
      return undefined;
    }
    const offered = cacheLifetimes.find((lifetime) => seconds <= lifetime.seconds)?.seconds ?? longest;
    if (offered !== seconds) this.#report.coerced(path, `kept for ${offered} seconds`);
    return offered;
  }
}

function writePoint(seconds: number | undefined): WritableObject {
  return { cachePoint: { type: "default", ttl: cacheLifetimes.find((offered) => offered.seconds === seconds)?.ttl } };
}
