/**
 * Token counts. A provider's numbers are not trusted to be sane: counts are whole numbers from 0 to 10^9, an explicit 0
 * is a measurement, and what is absent stays absent (reliability.md 3.8, fault UP19).
 */
import type { GenerateRequest, Part, Tool } from "../../gen/dragoman/v1/generate_pb.ts";
import { type Usage, UsageBasis } from "../../gen/dragoman/v1/usage_pb.ts";
import type { GenerateEvent } from "./event.ts";
import { newUsage } from "./new-message.ts";

const maxTokenCount = 1_000_000_000;

/** A count from the wire: a number (or a numeric string) within range, else undefined. */
export function tokenCount(value: unknown): number | undefined {
  const count = typeof value === "string" && /^\d{1,15}$/.test(value) ? Number(value) : value;
  if (typeof count !== "number" || !Number.isFinite(count) || count < 0) return undefined;
  return Math.min(Math.floor(count), maxTokenCount);
}

/** The sum of what is known; undefined where nothing is. */
export function sumCounts(...counts: (number | undefined)[]): number | undefined {
  let sum: number | undefined;
  for (const count of counts) if (count !== undefined) sum = (sum ?? 0) + count;
  return sum === undefined ? undefined : Math.min(sum, maxTokenCount);
}

const summed = [
  "inputTokens",
  "outputTokens",
  "cacheReadTokens",
  "cacheWriteTokens",
  "reasoningTokens",
  "audioInputTokens",
  "audioOutputTokens",
  "imageInputTokens",
  "imageOutputTokens",
  "videoInputTokens",
  "acceptedPredictionTokens",
  "rejectedPredictionTokens",
  "toolUseInputTokens",
] as const satisfies readonly (keyof Usage)[];

/** Of its own down to the last field that may change; cache writes never do. */
function copyUsage(usage: Usage): Usage {
  return {
    ...usage,
    cacheWrites: [...usage.cacheWrites],
    extrasJson: { ...usage.extrasJson },
    serverToolCalls: { ...usage.serverToolCalls },
  };
}

/** All attempts of a call together. The weakest basis holds: ESTIMATED before COUNTED before PROVIDER. */
export function addUsages(usages: readonly Usage[]): Usage {
  if (usages.length === 1) return usages[0] as Usage;
  const total = newUsage(UsageBasis.UNSPECIFIED);
  for (const usage of usages) {
    for (const key of summed) {
      const sum = sumCounts(total[key], usage[key]);
      if (sum !== undefined) total[key] = sum;
    }
    if (usage.basis > total.basis) total.basis = usage.basis;
    if (usage.serviceTier !== 0) total.serviceTier = usage.serviceTier;
    total.cacheWrites.push(...usage.cacheWrites);
    for (const [tool, calls] of Object.entries(usage.serverToolCalls)) {
      total.serverToolCalls[tool] = (total.serverToolCalls[tool] ?? 0) + calls;
    }
  }
  return total;
}

/** About four characters of English to a token; other scripts take about one token a character or two. */
const latinCharactersPerToken = 4;
const otherCharactersPerToken = 1.5;
/** What a message costs beside its text, and an image whose size is not known. */
const tokensPerMessage = 4;
const tokensPerImage = 768;
/** From this length on one search costs less than looking at each character; most texts hold nothing of these. */
const longText = 32;
const beyondLatin = /[\u0250-\uffff]/;

/** Counts text as it comes, in O(length) without keeping it. */
export class TokenEstimate {
  #latin = 0;
  #other = 0;
  #fixed = 0;

  text(text: string): void {
    if (text.length >= longText && !beyondLatin.test(text)) {
      this.#latin += text.length;
      return;
    }
    let other = 0;
    for (let index = 0; index < text.length; index++) if (text.charCodeAt(index) > 0x24f) other++;
    this.#other += other;
    this.#latin += text.length - other;
  }

  tokens(count: number): void {
    this.#fixed += count;
  }

  get count(): number {
    return this.#fixed + Math.ceil(this.#latin / latinCharactersPerToken + this.#other / otherCharactersPerToken);
  }
}

/** The input tokens of a request, without a tokenizer. */
export function estimateInput(request: GenerateRequest): number {
  const estimate = new TokenEstimate();
  for (const message of request.messages) {
    estimate.tokens(tokensPerMessage);
    for (const part of message.parts) estimatePart(part, estimate);
  }
  for (const tool of request.tools) estimateTool(tool, estimate);
  if (request.outputFormat !== undefined) estimate.text(request.outputFormat.schemaJson);
  return estimate.count;
}

/** Tokens of parts, without a tokenizer. */
export function estimateParts(parts: readonly Part[]): number {
  const estimate = new TokenEstimate();
  for (const part of parts) estimatePart(part, estimate);
  return estimate.count;
}

function estimateTool({ tool }: Tool, estimate: TokenEstimate): void {
  if (tool.case === "hosted" || tool.case === undefined) return;
  estimate.text(tool.value.name + tool.value.description);
  if (tool.case === "function") estimate.text(tool.value.parametersJson);
}

function estimatePart({ part }: Part, estimate: TokenEstimate): void {
  switch (part.case) {
    case "text":
    case "refusal":
      estimate.text(part.value);
      break;
    case "reasoning":
      estimate.text(part.value.text);
      break;
    case "toolCall":
      estimate.text(part.value.name + part.value.argumentsJson + part.value.inputText);
      break;
    case "toolResult":
      estimate.text(part.value.resultJson);
      for (const content of part.value.content) estimatePart(content, estimate);
      break;
    case "image":
      estimate.tokens(tokensPerImage);
      break;
    case "opaque":
      estimate.text(part.value.dataJson);
      break;
    case "audio":
    case "file":
    case "video":
      // A kilobyte of compressed sound, picture or document is about a hundred tokens.
      estimate.tokens(part.value.source.case === "data" ? Math.ceil(part.value.source.value.length / 10_000) * 1_000 : tokensPerImage);
      break;
    default:
      break;
  }
}

/** A tap: counts what a stream delivered, for the case that the provider never says. */
export class OutputMeter {
  readonly #estimate = new TokenEstimate();
  /** The provider's own counts, the last ones. */
  usage: Usage | undefined;
  /** Answers that had finished, and whether nothing was generated after the last counts: they are final then. */
  #finished = 0;
  #final = false;

  /** Output tokens until now, by the provider's count or our estimate, whichever is more. */
  get outputTokens(): number {
    return Math.max(this.usage?.outputTokens ?? 0, this.#estimate.count);
  }

  /** Whether every answer that was asked for has finished: what may follow is counts only. */
  hasFinished(request: GenerateRequest): boolean {
    return this.#finished >= Math.max(1, request.sampling?.candidateCount ?? 1);
  }

  see({ event }: GenerateEvent): void {
    if (event.case === "finished") this.#finished++;
    if (event.case === "usage") {
      this.usage = event.value;
      this.#final = true;
    } else if (event.case === "blockDelta") {
      this.#final = false;
      const { delta } = event.value;
      if (delta.case !== undefined && typeof delta.value === "string") this.#estimate.text(delta.value);
    } else if (event.case === "blockStarted" && event.value.toolCall !== undefined) {
      this.#estimate.text(event.value.toolCall.name);
    }
  }

  /** What the attempt is billed for: the provider's counts, completed by estimates where it did not say. */
  settle(request: GenerateRequest, complete: boolean): Usage {
    const said = this.usage;
    const usage = said === undefined ? newUsage(UsageBasis.UNSPECIFIED) : copyUsage(said);
    // Counts that a provider gives while it generates are those of that moment: what came after is not in them.
    const final = complete || (this.#finished > 0 && this.#final);
    const outputKnown = said?.outputTokens !== undefined && (final || said.outputTokens >= this.#estimate.count);
    if (usage.inputTokens !== undefined && outputKnown) {
      // Another gateway says itself where it counted or estimated.
      if (usage.basis === UsageBasis.UNSPECIFIED) usage.basis = UsageBasis.PROVIDER;
      return usage;
    }
    usage.inputTokens ??= estimateInput(request);
    if (!outputKnown) usage.outputTokens = Math.max(usage.outputTokens ?? 0, this.#estimate.count);
    usage.basis = UsageBasis.ESTIMATED;
    return usage;
  }
}
