/** Gemini generateContent, by the npm package `@google/genai`. */
import { ApiError, GoogleGenAI } from "@google/genai";
import { type Asking, type DialectClient, HeaderTap } from "./dialect.ts";
import {
  type Answer,
  type AnswerUsage,
  CannotSay,
  type Finish,
  type Scene,
  type SceneMedia,
  type SceneTurn,
  unknownField,
  unknownValue,
} from "./scene.ts";

type Part = Record<string, unknown> & {
  text?: string;
  thought?: boolean;
  functionCall?: { id?: string; name: string; args?: unknown };
};

interface Chunk {
  candidates?: {
    index?: number;
    content?: { parts?: Part[] };
    finishReason?: string;
    groundingMetadata?: { groundingChunks?: { web?: { uri?: string } }[] };
    citationMetadata?: { citations?: { uri?: string }[] };
    logprobsResult?: { chosenCandidates?: unknown[] };
  }[];
  usageMetadata?: {
    promptTokenCount?: number;
    candidatesTokenCount?: number;
    thoughtsTokenCount?: number;
    cachedContentTokenCount?: number;
  };
}

export const gemini: DialectClient = {
  name: "gemini",
  format: "gemini",
  lacks: new Set(["refusal", "cacheWrite"]),
  async ask(asking, scene) {
    const tap = new HeaderTap(asking.strict);
    const before = globalThis.fetch;
    const client = new GoogleGenAI({ apiKey: "sk-matrix-client", httpOptions: { baseUrl: asking.url } });
    const chunks = new Chunks();
    const request = writeRequest(asking, scene) as unknown as Parameters<typeof client.models.generateContent>[0];
    // The SDK takes no fetch of its own.
    const own = tap.fetch;
    globalThis.fetch = (input, init) => {
      globalThis.fetch = before;
      return own(input, init);
    };
    try {
      if (asking.stream)
        for await (const chunk of await client.models.generateContentStream(request)) chunks.add(chunk as unknown as Chunk);
      else chunks.add((await client.models.generateContent(request)) as unknown as Chunk);
      return { ...chunks.answer(tap), unknownSeen: await tap.holdsUnknown() };
    } catch (thrown) {
      if (!(thrown instanceof ApiError) && !(thrown instanceof Error)) throw thrown;
      return { ...chunks.answer(tap), failure: tap.failure(thrown) };
    } finally {
      globalThis.fetch = before;
    }
  },
};

function writeRequest({ model }: Asking, scene: Scene): Record<string, unknown> {
  const { choice, output } = scene;
  const system = [scene.system, scene.developer].flatMap((text) => (text === undefined ? [] : [{ text }]));
  return {
    model,
    contents: scene.turns.map(writeTurn),
    config: {
      ...(system.length > 0 && { systemInstruction: { parts: system } }),
      ...(scene.tools && {
        tools: [
          {
            functionDeclarations: scene.tools.map(({ name, description, schema }) => ({ name, description, parametersJsonSchema: schema })),
          },
        ],
      }),
      ...(choice !== undefined && {
        toolConfig: {
          functionCallingConfig:
            typeof choice === "string"
              ? { mode: choice === "none" ? "NONE" : "ANY" }
              : { mode: "ANY", allowedFunctionNames: [choice.name] },
        },
      }),
      ...(output !== undefined && {
        responseMimeType: "application/json",
        ...(output !== "json" && { responseJsonSchema: output.schema }),
      }),
      ...(scene.effort && { thinkingConfig: { thinkingLevel: scene.effort.toUpperCase(), includeThoughts: true } }),
      ...(scene.stop && { stopSequences: scene.stop }),
      ...(scene.seed !== undefined && { seed: scene.seed }),
      ...(scene.topLogprobs !== undefined && { responseLogprobs: true, logprobs: scene.topLogprobs }),
      ...(scene.candidates !== undefined && { candidateCount: scene.candidates }),
      ...(scene.maxTokens !== undefined && { maxOutputTokens: scene.maxTokens }),
      ...(scene.unknown && { httpOptions: { extraBody: { [unknownField]: unknownValue } } }),
    },
  };
}

function writeTurn(turn: SceneTurn): unknown {
  switch (turn.role) {
    case "user":
      if (turn.cacheSeconds !== undefined) throw new CannotSay("cache markers");
      return { role: "user", parts: [...(turn.media ?? []).map(writeMedia), { text: turn.text }] };
    case "assistant":
      return {
        role: "model",
        parts: [
          ...(turn.text === "" ? [] : [{ text: turn.text }]),
          ...(turn.calls ?? []).map(({ id, name, arguments: args }) => ({ functionCall: { id, name, args } })),
        ],
      };
    case "replay":
      return { role: "model", parts: turn.answer.native };
    case "tool":
      return {
        role: "user",
        parts: turn.results.map(({ id, name, text, isError, image }) => ({
          functionResponse: {
            id,
            name,
            response: isError ? { error: text } : { output: text },
            ...(image !== undefined && { parts: [{ inlineData: { mimeType: "image/png", data: base64(image) } }] }),
          },
        })),
      };
  }
}

function writeMedia(media: SceneMedia): unknown {
  if ("url" in media) return { fileData: { mimeType: media.mimeType, fileUri: media.url } };
  return { inlineData: { mimeType: media.mimeType, data: base64(media.data) } };
}

function base64(data: Uint8Array): string {
  return Buffer.from(data).toString("base64");
}

const finishes: Readonly<Record<string, Finish>> = {
  STOP: "stop",
  MAX_TOKENS: "length",
  SAFETY: "content_filter",
  PROHIBITED_CONTENT: "content_filter",
};

class Chunks {
  readonly #found: { parts: Part[]; citations: string[]; logprobs: number; finish: string }[] = [];
  #usage: Chunk["usageMetadata"];

  add(chunk: Chunk): void {
    for (const { index = 0, content, finishReason, groundingMetadata, citationMetadata, logprobsResult } of chunk.candidates ?? []) {
      const candidate = (this.#found[index] ??= { parts: [], citations: [], logprobs: 0, finish: "" });
      for (const part of content?.parts ?? []) {
        const last = candidate.parts.at(-1);
        // Neighbouring pieces of one text are one part, unless a signature marks their end.
        const joins =
          last?.text !== undefined && part.text !== undefined && last.thought === part.thought && last.thoughtSignature === undefined;
        if (joins && last !== undefined) Object.assign(last, part, { text: (last.text ?? "") + part.text });
        else candidate.parts.push({ ...part });
      }
      for (const { web } of groundingMetadata?.groundingChunks ?? []) if (web?.uri !== undefined) candidate.citations.push(web.uri);
      for (const { uri } of citationMetadata?.citations ?? []) if (uri !== undefined) candidate.citations.push(uri);
      candidate.logprobs += logprobsResult?.chosenCandidates?.length ?? 0;
      candidate.finish ||= finishReason ?? "";
    }
    if (chunk.usageMetadata !== undefined) this.#usage = chunk.usageMetadata;
  }

  answer(tap: HeaderTap): Answer {
    const usage = this.#usage;
    const said: AnswerUsage | undefined =
      usage === undefined
        ? undefined
        : {
            input: usage.promptTokenCount ?? 0,
            output: (usage.candidatesTokenCount ?? 0) + (usage.thoughtsTokenCount ?? 0),
            cacheRead: usage.cachedContentTokenCount,
            reasoning: usage.thoughtsTokenCount,
          };
    return {
      candidates: this.#found.map(({ parts, citations, logprobs, finish }) => {
        const calls = parts.flatMap(({ functionCall }) =>
          functionCall === undefined ? [] : [{ id: functionCall.id ?? "", name: functionCall.name, arguments: functionCall.args ?? {} }],
        );
        const neutral = finishes[finish] ?? (finish === "" ? "" : "stop");
        return {
          text: parts.flatMap(({ text, thought }) => (text === undefined || thought === true ? [] : [text])).join(""),
          reasoning: parts.flatMap(({ text, thought }) => (text === undefined || thought !== true ? [] : [text])).join(""),
          calls,
          refusal: "",
          citations,
          logprobs,
          finish: neutral === "stop" && calls.length > 0 ? "tool_calls" : neutral,
        };
      }),
      usage: said,
      failure: undefined,
      notes: tap.notes(),
      unknownSeen: false,
      native: this.#found[0]?.parts,
    };
  }
}
