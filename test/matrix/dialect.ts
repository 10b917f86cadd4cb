/** A client of one dialect: the vendor's own SDK, told nothing but the base URL. */
import { type Answer, type Failure, type Note, type Scene, unknownField } from "./scene.ts";

export interface Asking {
  /** Of the gateway's data port. */
  readonly url: string;
  readonly model: string;
  readonly stream: boolean;
  /** Asks with `x-dragoman-strict`. */
  readonly strict: boolean;
}

/** What an answer may hold beyond its text and calls. */
export type AnswerFact =
  | "calls"
  | "reasoning"
  | "refusal"
  | "citations"
  | "logprobs"
  | "candidates"
  | "usage"
  | "cacheRead"
  | "cacheWrite"
  | "reasoningTokens"
  | "unknown";

export interface DialectClient {
  readonly name: string;
  /** Facts of an answer that the dialect has no place for. */
  readonly lacks: ReadonlySet<AnswerFact>;
  /** Lifetime of the cache marker that it writes, in seconds; absent: it has none. */
  readonly cacheSeconds?: number;
  /** Wire format of an upstream whose unknown fields the dialect shows. */
  readonly format: string;
  /** Never throws for a failure of the call; throws CannotSay where the dialect has no words for the scene. */
  ask(asking: Asking, scene: Scene): Promise<Answer>;
  close?(): void;
}

/** What the last HTTP answer's headers said. SDKs keep them to themselves in some modes. */
export class HeaderTap {
  headers = new Headers();
  status = 0;
  readonly strict: boolean;
  #text: Promise<string> = Promise.resolve("");

  constructor(strict: boolean) {
    this.strict = strict;
  }

  readonly fetch: typeof globalThis.fetch = async (input, init) => {
    const headers = new Headers(init?.headers ?? (input instanceof Request ? input.headers : undefined));
    if (this.strict) headers.set("x-dragoman-strict", "true");
    const response = await globalThis.fetch(input, { ...init, headers });
    this.headers = response.headers;
    this.#text = response
      .clone()
      .text()
      .catch(() => "");
    this.status = response.status;
    return response;
  };

  /** Whether the bytes of the answer hold the unknown field: some SDKs keep it to themselves. */
  async holdsUnknown(): Promise<boolean> {
    return (await this.#text).includes('"sim_unknown"');
  }

  notes(): Note[] {
    return readNotes(this.headers.get("x-dragoman-translation") ?? "");
  }

  /** A failure that an SDK threw: with its status before the first byte, without one inside a stream. */
  failure(thrown: unknown): Failure {
    const message = thrown instanceof Error ? thrown.message : String(thrown);
    return { status: this.status >= 400 ? this.status : 0, reason: this.headers.get("x-dragoman-error-reason") ?? "", message };
  }
}

/** `dropped;path="seed", coerced;path="temperature"`. */
export function readNotes(header: string): Note[] {
  return [...header.matchAll(/(\w+);path="((?:[^"\\]|\\.)*)"/g)].map(([, action, path]) => ({
    action: action as Note["action"],
    path: (path ?? "").replace(/\\(.)/g, "$1"),
  }));
}

export function dataUrl(mimeType: string, data: Uint8Array): string {
  return `data:${mimeType};base64,${Buffer.from(data).toString("base64")}`;
}

/** Whether an object of an answer holds the field that the simulator adds for nobody. */
export function holdsUnknown(value: unknown): boolean {
  return JSON.stringify(value ?? null).includes('"sim_unknown"');
}

export { unknownField };
