/**
 * Remembers who signed reasoning and tool calls, and gives clients' requests back what their dialect cannot carry
 * (contract.md 1, rule 4, and 3.2 "signature on a call"). Streams without signatures and requests that lack nothing pass
 * untouched.
 */
import { create } from "@bufbuild/protobuf";
import {
  type BlockDelta,
  BlockKind,
  type GenerateRequest,
  type Part,
  PartSchema,
  ReasoningPartSchema,
  Role,
  type Signature,
} from "../../gen/dragoman/v1/generate_pb.ts";
import type { Call } from "../core/call.ts";
import type { EventBatch, GenerateEvent } from "../core/event.ts";
import type { CallSignatures, SignatureStore, SignedReasoning } from "../core/signature-store.ts";
import type { Stage } from "./stage.ts";

export function rememberSignatures(store: SignatureStore): Stage<GenerateRequest, AsyncIterable<EventBatch>> {
  return (next) => (request, call) => {
    const wants = whatIsMissing(request);
    return {
      [Symbol.asyncIterator]() {
        const memory = new AnswerMemory(store, call);
        let inner: AsyncIterator<EventBatch> | undefined;
        return {
          async next() {
            inner ??= await begin();
            const result = await inner.next();
            if (!result.done) memory.see(result.value.events);
            return result;
          },
          async return() {
            await inner?.return?.();
            return { done: true, value: undefined };
          },
        };
      },
    };

    async function begin(): Promise<AsyncIterator<EventBatch>> {
      if (isNothing(wants)) return next(request, call)[Symbol.asyncIterator]();
      const { filled, restored } = await complete(request, call, store, wants);
      return next(filled, restored)[Symbol.asyncIterator]();
    }
  };
}

/** For generations that are answered in one piece. */
export function rememberSignaturesOfWhole(store: SignatureStore): Stage<GenerateRequest, Promise<EventBatch>> {
  return (next) => async (request, call) => {
    const wants = whatIsMissing(request);
    const { filled, restored } = isNothing(wants) ? { filled: request, restored: call } : await complete(request, call, store, wants);
    const whole = await next(filled, restored);
    new AnswerMemory(store, call).see(whole.events);
    return whole;
  };
}

interface Completed {
  readonly filled: GenerateRequest;
  /** The call that goes on with it. */
  readonly restored: Call;
}

function isNothing({ values, callIds }: Missing): boolean {
  return values.length === 0 && callIds.length === 0;
}

/** The request with what the client's dialect could not carry. */
async function complete(request: GenerateRequest, call: Call, store: SignatureStore, { values, callIds }: Missing): Promise<Completed> {
  const { id } = call.principal;
  const [issuers, calls] = await Promise.all([store.issuers(id, values), store.calls(id, callIds)]);
  const known = { issuers: pair(values, issuers), calls: usable(pair(callIds, calls), call) };
  const { request: filled, isRestored } = fill(request, known);
  // The client's own body lacks what was put back.
  const restored = isRestored && call.wire !== undefined ? { ...call, wire: undefined } : call;
  return { filled, restored };
}

interface Missing {
  /** Signatures whose issuer the client could not say. */
  readonly values: readonly string[];
  /** Calls that came without a signature; the answer may have had one. */
  readonly callIds: readonly string[];
}

function whatIsMissing({ messages }: GenerateRequest): Missing {
  const values: string[] = [];
  const callIds: string[] = [];
  for (const { role, parts } of messages) {
    if (role !== Role.ASSISTANT) continue;
    for (const { part, signature } of parts) {
      if (signature !== undefined && signature.provider === "" && signature.value !== "") values.push(signature.value);
      if (part.case === "toolCall" && part.value.id !== "") callIds.push(part.value.id);
    }
  }
  return { values, callIds };
}

interface Known {
  readonly issuers: ReadonlyMap<string, Pick<Signature, "format" | "provider">>;
  readonly calls: ReadonlyMap<string, CallSignatures>;
}

function pair<Value>(keys: readonly string[], found: readonly (Value | undefined)[]): Map<string, Value> {
  const pairs = new Map<string, Value>();
  keys.forEach((key, index) => {
    const value = found[index];
    if (value !== undefined) pairs.set(key, value);
  });
  return pairs;
}

/**
 * What some target of the call issued itself: another could not take it, and would have to report what the client never
 * sent. In strict mode every target must be able to.
 */
function usable(calls: ReadonlyMap<string, CallSignatures>, { targets, options }: Call): Map<string, CallSignatures> {
  const takes = (provider: string): boolean => {
    const isIssuer = (target: { readonly provider: string }) => target.provider === provider;
    return options?.strict === true ? targets.every(isIssuer) : targets.some(isIssuer);
  };
  const taken = [...calls].filter(([, { signature, reasoning }]) => {
    const providers = [...(signature === undefined ? [] : [signature.provider]), ...reasoning.map((thought) => thought.signature.provider)];
    return providers.every(takes);
  });
  return new Map(taken);
}

/** The request with what is known; itself where that adds nothing. `isRestored`: it has content that the client lost. */
function fill(request: GenerateRequest, known: Known): { request: GenerateRequest; isRestored: boolean } {
  if (known.issuers.size === 0 && known.calls.size === 0) return { request, isRestored: false };
  let isRestored = false;
  const messages = request.messages.map((message) => {
    if (message.role !== Role.ASSISTANT) return message;
    const named = nameIssuers(message.parts, known);
    const parts = restoreCalls(named, known);
    if (parts !== named) isRestored = true;
    return parts === message.parts ? message : { ...message, parts };
  });
  const isChanged = messages.some((message, index) => message !== request.messages[index]);
  return { request: isChanged ? { ...request, messages } : request, isRestored };
}

function nameIssuers(parts: Part[], { issuers }: Known): Part[] {
  const isNamed = ({ signature }: Part) => signature?.provider === "" && issuers.has(signature.value);
  if (!parts.some(isNamed)) return parts;
  return parts.map((part) => {
    const { signature } = part;
    return signature === undefined || !isNamed(part) ? part : { ...part, signature: { ...signature, ...issuers.get(signature.value) } };
  });
}

function restoreCalls(parts: Part[], { calls }: Known): Part[] {
  let restored = parts;
  for (const part of parts) {
    const lost = part.part.case === "toolCall" ? calls.get(part.part.value.id) : undefined;
    if (lost !== undefined) restored = restoreCall(restored, part, lost);
  }
  return restored;
}

/** Puts back what belongs to one call: its reasoning before it, in its order, and its own signature. */
function restoreCall(parts: Part[], call: Part, { signature, reasoning }: CallSignatures): Part[] {
  const has = (value: string) => parts.some((part) => part.signature?.value === value);
  const lost = reasoning.filter((thought) => !has(thought.signature.value));
  const isSigned = signature === undefined || call.signature !== undefined;
  if (lost.length === 0 && isSigned) return parts;
  const restored = [...parts];
  // Reasoning begins a turn; what came later stands right before its call.
  let at = parts.some((part) => part.part.case === "reasoning" && part.signature !== undefined) ? parts.indexOf(call) : 0;
  for (const thought of lost) {
    // Text that the client did carry is signed again, not repeated.
    const unsigned = restored.findIndex((part) => isUnsigned(part, thought));
    if (unsigned !== -1) restored[unsigned] = { ...(restored[unsigned] as Part), ...signedReasoning(thought) };
    else restored.splice(at++, 0, reasoningPart(thought));
  }
  if (!isSigned) restored[restored.indexOf(call)] = { ...call, signature };
  return restored;
}

function isUnsigned({ part, signature }: Part, thought: SignedReasoning): boolean {
  if (part.case !== "reasoning" || signature !== undefined || thought.redacted) return false;
  return part.value.text === thought.text || part.value.text === thought.summaries.join("");
}

function reasoningPart(thought: SignedReasoning): Part {
  return create(PartSchema, signedReasoning(thought));
}

/** As the provider gave it: a summary goes back as one. */
function signedReasoning({ text, summaries, redacted, signature }: SignedReasoning) {
  return {
    part: { case: "reasoning" as const, value: create(ReasoningPartSchema, { text, summaries: [...summaries], redacted }) },
    signature,
  };
}

/** Characters of signed reasoning that one answer is remembered with; an answer that thinks longer is not. */
const maxReasoningLength = 1 << 20;

/** Highest number of a section of a summary that is kept. */
const maxSections = 1_000;

/** What one answer teaches. */
class AnswerMemory {
  readonly #store: SignatureStore;
  readonly #call: Call;
  /** Text of reasoning that goes on, and the sections of its summary, by candidate and index. */
  readonly #thinking = new Map<string, { text: string; readonly summaries: string[] }>();
  readonly #calls = new Map<string, string>();
  /** Signed reasoning so far, by candidate. */
  readonly #signed = new Map<number, SignedReasoning[]>();
  /** The last call of each candidate, and how much signed reasoning came before it. */
  readonly #lastCalls = new Map<number, { readonly callId: string; readonly signature: Signature | undefined; readonly before: number }>();
  #length = 0;

  constructor(store: SignatureStore, call: Call) {
    this.#store = store;
    this.#call = call;
  }

  see(events: readonly GenerateEvent[]): void {
    const signatures: Signature[] = [];
    for (const { event } of events) {
      if (event.case === "blockDelta") {
        if (this.#thinking.size > 0) this.#grow(event.value);
      } else if (event.case === "blockStarted") {
        const { candidate, index, kind, toolCall } = event.value;
        if (kind === BlockKind.REASONING) this.#thinking.set(`${candidate} ${index}`, { text: "", summaries: [] });
        else if (toolCall !== undefined && toolCall.id !== "") this.#calls.set(`${candidate} ${index}`, toolCall.id);
      } else if (event.case === "blockEnded") {
        const signature = this.#end(event.value);
        if (signature !== undefined) signatures.push(signature);
      } else if (event.case === "finished") this.#finish(event.value.candidate);
    }
    if (signatures.length > 0) this.#store.remember(this.#call.principal.id, signatures);
  }

  #grow({ candidate, index, delta, section }: BlockDelta): void {
    const thought = this.#thinking.get(`${candidate} ${index}`);
    if (thought === undefined || (delta.case !== "text" && delta.case !== "summary")) return;
    this.#length += delta.value.length;
    if (this.#length > maxReasoningLength || section > maxSections) return;
    if (delta.case === "text") thought.text += delta.value;
    else {
      while (thought.summaries.length <= section) thought.summaries.push("");
      thought.summaries[section] += delta.value;
    }
  }

  #end({
    candidate,
    index,
    signature,
    redacted,
    incomplete,
  }: Extract<GenerateEvent["event"], { case: "blockEnded" }>["value"]): Signature | undefined {
    const key = `${candidate} ${index}`;
    const thought = this.#thinking.get(key);
    const callId = this.#calls.get(key);
    this.#thinking.delete(key);
    this.#calls.delete(key);
    // Codecs of formats that hand through another's signatures do not know whose they are; the target is.
    const provider = signature?.provider || this.#call.attempts.at(-1)?.provider || "";
    const issued = signature === undefined || incomplete ? undefined : { ...signature, provider };
    const before = this.#signed.get(candidate) ?? [];
    if (thought !== undefined && issued !== undefined)
      this.#signed.set(candidate, [...before, { ...thought, redacted, signature: issued }]);
    if (callId !== undefined && !incomplete) this.#lastCalls.set(candidate, { callId, signature: issued, before: before.length });
    if (callId !== undefined && !incomplete && (issued !== undefined || before.length > 0) && this.#length <= maxReasoningLength) {
      this.#store.rememberCall(this.#call.principal.id, callId, { signature: issued, reasoning: before });
    }
    return issued;
  }

  /** Some vendors sign the reasoning of a turn at its very end, after its calls. */
  #finish(candidate: number): void {
    const last = this.#lastCalls.get(candidate);
    const reasoning = this.#signed.get(candidate) ?? [];
    if (last === undefined || reasoning.length === last.before || this.#length > maxReasoningLength) return;
    this.#store.rememberCall(this.#call.principal.id, last.callId, { signature: last.signature, reasoning });
  }
}
