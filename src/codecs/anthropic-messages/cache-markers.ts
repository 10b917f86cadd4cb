/**
 * Cache markers: collected while blocks are written, chosen and written once the whole request stands. The API takes
 * four, refuses them on thinking, and wants longer lifetimes before shorter ones.
 * https://platform.claude.com/docs/en/build-with-claude/prompt-caching
 */
import type { CacheMarker } from "../../../gen/dragoman/v1/call_pb.ts";
import type { Writable, WritableObject } from "../../core/json.ts";
import type { TranslationReport } from "../../core/translation.ts";
import { cacheLifetimes, maxCacheMarkers } from "./wire.ts";

interface Marked {
  readonly block: WritableObject;
  readonly path: string;
  /** Seconds as the API offers them; undefined: its default. */
  seconds: number | undefined;
}

/** The request in the order in which its prefix is cached. */
export interface Prefix {
  readonly tools: readonly Writable[];
  readonly system: readonly Writable[];
  readonly messages: readonly WritableObject[];
}

/** The marker at the end of the prompt that the API sets by itself; it counts as one of the four. */
export interface AutomaticMarker {
  readonly seconds: number | undefined;
}

export class CacheMarkers {
  readonly #report: TranslationReport;
  readonly #marked = new Map<Writable, Marked>();

  constructor(report: TranslationReport) {
    this.#report = report;
  }

  /** Marks the end of a prefix after `block`; where there is none, the marker has nowhere to go. */
  mark(block: WritableObject | undefined, marker: CacheMarker | undefined, path: string): void {
    if (marker === undefined) return;
    if (block === undefined) {
      this.#report.dropped(path, "nothing stands before it that could be cached");
      return;
    }
    if (!this.#marked.has(block)) this.#marked.set(block, { block, path, seconds: this.lifetime(marker.ttlSeconds, path) });
  }

  /** The next larger lifetime that the API offers, the largest at most. */
  lifetime(seconds: number | undefined, path: string): number | undefined {
    if (seconds === undefined) return undefined;
    const longest = cacheLifetimes[cacheLifetimes.length - 1] as (typeof cacheLifetimes)[number];
    const offered = cacheLifetimes.find((lifetime) => seconds <= lifetime.seconds) ?? longest;
    if (offered.seconds !== seconds) this.#report.coerced(path, `kept for ${offered.seconds} seconds`);
    return offered.seconds;
  }

  /** Writes the markers that the API takes, and reports the others. */
  settle(prefix: Prefix, automatic: AutomaticMarker | undefined): void {
    const { tools, system, messages } = this.#inOrder(prefix);
    const all = [...tools, ...system, ...messages];
    const kept = new Set<Marked>();
    const most = maxCacheMarkers - (automatic === undefined ? 0 : 1);
    for (const marked of [tools.at(-1), system.at(-1), ...all.toReversed()]) {
      if (marked !== undefined && kept.size < most) kept.add(marked);
    }
    let longer = automatic !== undefined && automatic.seconds === longestSeconds;
    for (const marked of all.toReversed()) {
      if (!kept.has(marked)) {
        // What extras say beside a marker is nothing without it.
        delete marked.block.cache_control;
        this.#report.dropped(marked.path, `at most ${maxCacheMarkers} cache markers are taken`);
        continue;
      }
      if (longer && marked.seconds !== longestSeconds) {
        marked.seconds = longestSeconds;
        this.#report.coerced(marked.path, `kept for ${longestSeconds} seconds, as a later marker is`);
      }
      longer ||= marked.seconds === longestSeconds;
      const { cache_control: unknown } = marked.block;
      marked.block.cache_control = { ...(isBlock(unknown) ? unknown : {}), ...writeCacheControl(marked.seconds) };
    }
  }

  #inOrder({ tools, system, messages }: Prefix): { tools: Marked[]; system: Marked[]; messages: Marked[] } {
    return {
      tools: this.#of(tools),
      system: this.#of(system),
      messages: messages.flatMap(({ content }) => (Array.isArray(content) ? this.#of(content as Writable[]) : [])),
    };
  }

  #of(blocks: readonly Writable[]): Marked[] {
    return blocks.flatMap((block) => {
      const content = isBlock(block) && Array.isArray(block.content) ? this.#of(block.content as Writable[]) : [];
      const marked = this.#marked.get(block);
      return marked === undefined ? content : [...content, marked];
    });
  }
}

const longestSeconds = cacheLifetimes[cacheLifetimes.length - 1]?.seconds;

function isBlock(value: Writable): value is WritableObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** `cache_control` for a lifetime that the API offers. */
export function writeCacheControl(seconds: number | undefined): WritableObject {
  const lifetime = cacheLifetimes.find((offered) => offered.seconds === seconds);
  return { type: "ephemeral", ...(lifetime === undefined ? {} : { ttl: lifetime.ttl }) };
}
