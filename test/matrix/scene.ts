/** What a client asks, what an upstream gets and what comes back: one shape for every dialect and every wire format. */

export interface SceneTool {
  readonly name: string;
  readonly description: string;
  readonly schema: Readonly<Record<string, unknown>>;
}

export interface SceneCall {
  readonly id: string;
  readonly name: string;
  readonly arguments: Readonly<Record<string, unknown>>;
}

export interface SceneResult {
  readonly id: string;
  readonly name: string;
  readonly text: string;
  readonly isError?: boolean;
  /** Data of a PNG. */
  readonly image?: Uint8Array;
}

export type SceneMedia =
  | { readonly kind: "image"; readonly mimeType: string; readonly data: Uint8Array }
  | { readonly kind: "image"; readonly mimeType: string; readonly url: string }
  | { readonly kind: "audio"; readonly mimeType: "audio/wav"; readonly data: Uint8Array }
  | { readonly kind: "file"; readonly mimeType: "application/pdf"; readonly filename: string; readonly data: Uint8Array };

export type SceneTurn =
  | { readonly role: "user"; readonly text: string; readonly media?: readonly SceneMedia[]; readonly cacheSeconds?: number }
  | { readonly role: "assistant"; readonly text: string; readonly calls?: readonly SceneCall[] }
  /** The answer of an earlier ask, sent back the way its dialect says it. */
  | { readonly role: "replay"; readonly answer: Answer }
  | { readonly role: "tool"; readonly results: readonly SceneResult[] };

export interface Scene {
  readonly system?: string;
  readonly developer?: string;
  readonly turns: readonly SceneTurn[];
  readonly tools?: readonly SceneTool[];
  readonly choice?: "none" | "required" | { readonly name: string };
  readonly output?: "json" | { readonly name: string; readonly schema: Readonly<Record<string, unknown>> };
  readonly effort?: "low" | "high";
  readonly stop?: readonly string[];
  readonly seed?: number;
  readonly topLogprobs?: number;
  readonly candidates?: number;
  readonly maxTokens?: number;
  /** Puts `unknownField` at the top of the request. */
  readonly unknown?: boolean;
}

/** A request field that nobody knows, in every dialect. */
export const unknownField = "dragoman_matrix_field";
export const unknownValue = { deep: [1, { list: ["ä"] }] };

/** Thrown by a dialect that has no words for a scene. */
export class CannotSay extends Error {
  override readonly name = "CannotSay";
}

/** What an upstream got, in no vendor's words. Absent: it was not said. */
export interface Received {
  readonly system?: readonly string[];
  /** `user: Hello`, in order; a script is `(script)`. */
  readonly turns?: readonly string[];
  /** `image data image/png <bytes>`, `image url <url>`. */
  readonly media?: readonly string[];
  readonly tools?: readonly SceneTool[];
  readonly choice?: "auto" | "none" | "required" | { readonly name: string };
  readonly calls?: readonly { readonly name: string; readonly arguments: unknown }[];
  /** Texts of tool results, in order. */
  readonly results?: readonly string[];
  /** For each result, whether it is an error. */
  readonly resultErrors?: readonly boolean[];
  readonly resultImages?: number;
  readonly json?: boolean;
  readonly schema?: unknown;
  /** Whether the model was told to think, and how hard. */
  readonly effort?: string;
  /** Signatures of reasoning and calls in the history, in order. */
  readonly signatures?: readonly string[];
  /** Lifetimes of cache markers in seconds, in order; 0 where the default holds. */
  readonly cache?: readonly number[];
  readonly stop?: readonly string[];
  readonly seed?: number;
  readonly topLogprobs?: number;
  readonly candidates?: number;
  readonly maxTokens?: number;
  readonly unknown?: unknown;
}

export interface AnswerCandidate {
  readonly text: string;
  readonly reasoning: string;
  readonly calls: readonly { readonly id: string; readonly name: string; readonly arguments: unknown }[];
  readonly refusal: string;
  /** Addresses that the text cites. */
  readonly citations: readonly string[];
  /** How many tokens came with their probabilities. */
  readonly logprobs: number;
  readonly finish: Finish;
}

/** `other`: the dialect's neutral end for a reason that it has no word for. */
export type Finish = "stop" | "length" | "tool_calls" | "content_filter" | "refusal" | "stop_sequence" | "";

export interface AnswerUsage {
  readonly input: number;
  readonly output: number;
  readonly cacheRead?: number | undefined;
  readonly cacheWrite?: number | undefined;
  readonly reasoning?: number | undefined;
}

export interface Failure {
  /** The HTTP status, or that of the surface's table for a gRPC code; 0 for a failure inside a stream. */
  readonly status: number;
  /** `x-dragoman-error-reason` or ErrorInfo's reason in lower case; empty inside a stream whose dialect cannot say it. */
  readonly reason: string;
  readonly message: string;
}

export interface Note {
  readonly action: "dropped" | "coerced" | "emulated" | "defaulted" | "changed";
  /** In the client's words. */
  readonly path: string;
}

export interface Answer {
  readonly candidates: readonly AnswerCandidate[];
  readonly usage: AnswerUsage | undefined;
  readonly failure: Failure | undefined;
  readonly notes: readonly Note[];
  /** Whether the client saw the field that a provider put into its answer and nobody knows. */
  readonly unknownSeen: boolean;
  /** What the dialect sends back as history. */
  readonly native: unknown;
}
