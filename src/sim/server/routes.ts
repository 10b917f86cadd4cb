/** Which path is which vendor's, and what it does. */
import type { IncomingHttpHeaders } from "node:http";
import type { JsonObject } from "../shape.ts";
import { messagesWire } from "./anthropic/messages.ts";
import { readCountTokens as readAnthropicCount } from "./anthropic/read.ts";
import { anthropicVendor } from "./anthropic/vendor.ts";
import { converseWire } from "./bedrock/converse.ts";
import { readCountTokens as readBedrockCount } from "./bedrock/read.ts";
import { bedrockVendor } from "./bedrock/vendor.ts";
import { cohereWire } from "./cohere/chat.ts";
import { answerCohereEmbed } from "./cohere/embed.ts";
import { cohereVendor } from "./cohere/vendor.ts";
import { answerEmbed } from "./gemini/embed.ts";
import { generateWire } from "./gemini/generate.ts";
import { readCountTokens as readGeminiCount } from "./gemini/read.ts";
import { geminiVendor } from "./gemini/vendor.ts";
import { anthropicModels, cohereModels, geminiModels, openaiModels } from "./models.ts";
import { chatWire } from "./openai/chat.ts";
import { answerEmbeddings } from "./openai/embeddings.ts";
import { responsesWire } from "./openai/responses.ts";
import { countInputTokens } from "./openai/responses-read.ts";
import { openaiVendor } from "./openai/vendor.ts";
import type { RequestFacts, Vendor, Wire } from "./wire.ts";

/** An answer that is known at once. `bill`: what a model made of it. */
export interface PlainAnswer {
  readonly body: JsonObject;
  readonly bill?: { readonly format: string; readonly model: string; readonly inputTokens: number };
}

export type Route =
  | { readonly is: "generate"; readonly vendor: Vendor; readonly wire: Wire; readonly model: string; readonly stream: boolean }
  | {
      readonly is: "answer";
      readonly vendor: Vendor;
      readonly model: string;
      /** Throws Refusal. */
      readonly answer: (request: RequestFacts, query: URLSearchParams, dimensions: number) => PlainAnswer;
    }
  /** The vendor has no such path. */
  | { readonly is: "nothing"; readonly vendor: Vendor };

/** All vendors have /v1/models: whose is meant shows in the headers, and for Cohere in how it asks for a page. */
export function findRoute(method: string, path: string, headers: IncomingHttpHeaders): Route {
  const speaksAnthropic = headers["anthropic-version"] !== undefined;
  // Newer clients of Gemini call v1 where older ones call v1beta.
  const speaksGemini = headers["x-goog-api-key"] !== undefined && !speaksAnthropic && headers.authorization === undefined;
  if (path.startsWith("/v1beta/")) return findGemini(method, path.slice("/v1beta/".length));
  if (path.startsWith("/v1/models") && (speaksGemini || method === "POST")) return findGemini(method, path.slice("/v1/".length));
  if (path.startsWith("/v1/messages")) return findAnthropic(method, path);
  if (path.startsWith("/model/")) return findBedrock(method, path);
  if (method === "GET" && /^\/v1\/models(\/|$)/.test(path)) {
    const id = decodeURIComponent(path.slice("/v1/models/".length));
    if (speaksAnthropic) return answer(anthropicVendor, id, (_, query) => ({ body: anthropicModels(id, query) }));
    if (headers["x-fern-sdk-name"] === "cohere-ai") return answer(cohereVendor, id, (_, query) => ({ body: cohereModels(id, query) }));
    return answer(openaiVendor, id, (_, query) => ({ body: query.has("page_size") ? cohereModels(id, query) : openaiModels(id) }));
  }
  if (path.startsWith("/v2/")) return findCohere(method, path);
  const posted = method === "POST" ? path : "";
  if (posted === "/v1/chat/completions") return { is: "generate", vendor: openaiVendor, wire: chatWire, model: "", stream: false };
  if (posted === "/v1/responses") return { is: "generate", vendor: openaiVendor, wire: responsesWire, model: "", stream: false };
  if (posted === "/v1/responses/input_tokens") return answer(openaiVendor, "", (request) => ({ body: countInputTokens(request) }));
  if (posted === "/v1/embeddings") {
    return answer(openaiVendor, "", ({ body, lenient }, _, dimensions) => {
      const made = answerEmbeddings(body, lenient, dimensions);
      return { body: made.body, bill: { format: "openai-embeddings", model: made.model, inputTokens: made.inputTokens } };
    });
  }
  return { is: "nothing", vendor: speaksAnthropic ? anthropicVendor : openaiVendor };
}

function findAnthropic(method: string, path: string): Route {
  if (method !== "POST") return { is: "nothing", vendor: anthropicVendor };
  if (path === "/v1/messages") return { is: "generate", vendor: anthropicVendor, wire: messagesWire, model: "", stream: false };
  if (path !== "/v1/messages/count_tokens") return { is: "nothing", vendor: anthropicVendor };
  return answer(anthropicVendor, "", (request) => ({ body: { input_tokens: readAnthropicCount(request).prompt.inputTokens } }));
}

function findCohere(method: string, path: string): Route {
  const posted = method === "POST" ? path : "";
  if (posted === "/v2/chat") return { is: "generate", vendor: cohereVendor, wire: cohereWire, model: "", stream: false };
  if (posted !== "/v2/embed") return { is: "nothing", vendor: cohereVendor };
  return answer(cohereVendor, "", ({ body, lenient }, _, dimensions) => {
    const made = answerCohereEmbed(body, lenient, dimensions);
    return { body: made.body, bill: { format: "cohere-chat", model: made.model, inputTokens: made.inputTokens } };
  });
}

function findGemini(method: string, path: string): Route {
  const listed = /^models(?:\/([^:]+))?$/.exec(path);
  if (method === "GET" && listed !== null) {
    const id = decodeURIComponent(listed[1] ?? "");
    return answer(geminiVendor, id, (_, query) => ({ body: geminiModels(id, query) }));
  }
  const called = method === "POST" ? /^models\/([^:]+):(\w+)$/.exec(path) : null;
  const model = decodeURIComponent(called?.[1] ?? "");
  switch (called?.[2]) {
    case "generateContent":
    case "streamGenerateContent":
      return { is: "generate", vendor: geminiVendor, wire: generateWire, model, stream: called[2] === "streamGenerateContent" };
    case "countTokens":
      return answer(geminiVendor, model, (request) => {
        const { inputTokens } = readGeminiCount(request).prompt;
        return { body: { totalTokens: inputTokens, promptTokensDetails: [{ modality: "TEXT", tokenCount: inputTokens }] } };
      });
    case "embedContent":
    case "batchEmbedContents": {
      const batch = called[2] === "batchEmbedContents";
      return answer(geminiVendor, model, ({ body, lenient }, _, dimensions) => {
        const made = answerEmbed(body, model, batch, lenient, dimensions);
        return { body: made.body, bill: { format: "gemini", model, inputTokens: made.inputTokens } };
      });
    }
    default:
      return { is: "nothing", vendor: geminiVendor };
  }
}

function findBedrock(method: string, path: string): Route {
  const called = method === "POST" ? /^\/model\/([^/]+)\/(converse|converse-stream|count-tokens)$/.exec(path) : null;
  if (called === null) return { is: "nothing", vendor: bedrockVendor };
  const model = decodeURIComponent(called[1] ?? "");
  if (called[2] === "count-tokens")
    return answer(bedrockVendor, model, (request) => ({ body: { inputTokens: readBedrockCount(request).inputTokens } }));
  return { is: "generate", vendor: bedrockVendor, wire: converseWire, model, stream: called[2] === "converse-stream" };
}

function answer(vendor: Vendor, model: string, make: Extract<Route, { is: "answer" }>["answer"]): Route {
  return { is: "answer", vendor, model, answer: make };
}
