/**
 * No field of a request is lost in silence: whatever a client sets, the upstream's request is another one, or the report
 * names the field. One setting at a time, in every upstream format.
 */
import { isDeepStrictEqual } from "node:util";
import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { ServiceTier } from "../../gen/dragoman/v1/call_pb.ts";
import {
  type GenerateRequest,
  GenerateRequestSchema,
  HostedToolKind,
  MediaDetail,
  type MessageSchema,
  Modality,
  OutputKind,
  type PartSchema,
  ReasoningDisplay,
  ReasoningEffort,
  ReasoningMode,
  Role,
  ToolChoiceMode,
  Verbosity,
} from "../../gen/dragoman/v1/generate_pb.ts";
import { GetCompletionsRequestSchema } from "../../gen/xai/api/v1/chat_pb.ts";
import { createAnthropicMessagesCodec } from "../../src/codecs/anthropic-messages/index.ts";
import { createBedrockConverseCodec } from "../../src/codecs/bedrock-converse/index.ts";
import { createCohereChatCodec } from "../../src/codecs/cohere-chat/index.ts";
import { createGeminiCodec } from "../../src/codecs/gemini/index.ts";
import { createOpenAiChatCodec } from "../../src/codecs/openai-chat/index.ts";
import { createOpenAiResponsesCodec } from "../../src/codecs/openai-responses/index.ts";
import { createXaiCodec } from "../../src/codecs/xai/index.ts";
import type { UpstreamCodec } from "../../src/core/dialect.ts";
import { GatewayError } from "../../src/core/error.ts";
import type { Target } from "../../src/core/target.ts";
import type { TranslationReport } from "../../src/core/translation.ts";

type Request = MessageInitShape<typeof GenerateRequestSchema>;
type MessageInit = MessageInitShape<typeof MessageSchema>;
type PartInit = MessageInitShape<typeof PartSchema>;

const target: Target = { id: "p/m", provider: "p", model: "m", traits: { reasoning: "both" } };

interface Written {
  readonly sent: string;
  readonly report: TranslationReport;
}

const xai = createXaiCodec();
const ofCodec = (codec: UpstreamCodec) => (request: GenerateRequest) => {
  const { path, headers, body, report } = codec.writeRequest(request, target, { stream: true });
  return { sent: [path, JSON.stringify(headers), body].join("\n"), report };
};
const formats: Readonly<Record<string, (request: GenerateRequest) => Written>> = {
  "openai-chat": ofCodec(createOpenAiChatCodec()),
  "openai-responses": ofCodec(createOpenAiResponsesCodec()),
  "anthropic-messages": ofCodec(createAnthropicMessagesCodec()),
  gemini: ofCodec(createGeminiCodec()),
  "bedrock-converse": ofCodec(createBedrockConverseCodec()),
  "cohere-chat": ofCodec(createCohereChatCodec()),
  xai: (request) => {
    const { message, report } = xai.writeRequest(request, target);
    return { sent: Buffer.from(toBinary(GetCompletionsRequestSchema, message)).toString("base64"), report };
  },
};

const text = (value: string, more: PartInit = {}): PartInit => ({ ...more, part: { case: "text", value } });
const user = (...parts: PartInit[]): MessageInit => ({ role: Role.USER, parts });
const functionTool = { case: "function" as const, value: { name: "f", parametersJson: '{"type":"object","properties":{}}' } };
const call: PartInit = { part: { case: "toolCall", value: { id: "call_1", name: "f", argumentsJson: "{}" } } };
const png = Buffer.from("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==", "base64");
const pdf = Buffer.from("%PDF-1.4\n%%EOF");
const media = (kind: "image" | "file" | "audio" | "video", value: object): PartInit => ({ part: { case: kind, value } }) as PartInit;
const image = (more: object = {}) => media("image", { source: { case: "data", value: png }, mimeType: "image/png", ...more });
const file = (more: object = {}) => media("file", { source: { case: "data", value: pdf }, mimeType: "application/pdf", ...more });
const reply = (...parts: PartInit[]): Request => ({ messages: [user(text("hi")), { role: Role.ASSISTANT, parts }, user(text("go on"))] });
const answered = (result: object, after: readonly MessageInit[] = []): Request => ({
  tools: [{ tool: functionTool }],
  messages: [
    user(text("hi")),
    { role: Role.ASSISTANT, parts: [call] },
    { role: Role.TOOL, parts: [{ part: { case: "toolResult", value: { toolCallId: "call_1", name: "f", ...result } } }] },
    ...after,
  ],
});
const asked: Request = { messages: [user(text("hi"))] };
const withTools: Request = { ...asked, tools: [{ tool: functionTool }, { tool: { case: "function", value: { name: "g" } } }] };

interface Setting {
  /** Where it is set: a note about it names this place, what holds it, or what it holds. */
  readonly path: string;
  readonly without?: Request;
  readonly request: Request;
}

const sampling = (name: string, value: object): Setting => ({ path: `sampling.${name}`, request: { ...asked, sampling: value } });
const settings: readonly Setting[] = [
  sampling("max_output_tokens", { maxOutputTokens: 2_000 }),
  sampling("temperature", { temperature: 0.5 }),
  sampling("top_p", { topP: 0.5 }),
  sampling("top_k", { topK: 5 }),
  sampling("stop", { stop: ["END"] }),
  sampling("seed", { seed: 7n }),
  sampling("candidate_count", { candidateCount: 2 }),
  sampling("frequency_penalty", { frequencyPenalty: 0.5 }),
  sampling("presence_penalty", { presencePenalty: 0.5 }),
  sampling("logprobs", { logprobs: true }),
  {
    path: "sampling.top_logprobs",
    without: { ...asked, sampling: { logprobs: true } },
    request: { ...asked, sampling: { logprobs: true, topLogprobs: 3 } },
  },
  sampling("logit_bias", { logitBias: { 5: 1 } }),
  sampling("min_p", { minP: 0.1 }),
  sampling("repetition_penalty", { repetitionPenalty: 1.2 }),
  { path: "tool_choice.mode", without: withTools, request: { ...withTools, toolChoice: { mode: ToolChoiceMode.REQUIRED } } },
  { path: "tool_choice.mode", without: withTools, request: { ...withTools, toolChoice: { mode: ToolChoiceMode.NONE } } },
  { path: "tool_choice", without: withTools, request: { ...withTools, toolChoice: { mode: ToolChoiceMode.TOOL, toolName: "f" } } },
  {
    path: "tool_choice.allowed_tools",
    without: withTools,
    request: { ...withTools, toolChoice: { mode: ToolChoiceMode.AUTO, allowedTools: ["g"] } },
  },
  {
    path: "tool_choice.parallel",
    without: withTools,
    request: { ...withTools, toolChoice: { mode: ToolChoiceMode.AUTO, parallel: false } },
  },
  { path: "tool_choice", request: { ...asked, toolChoice: { mode: ToolChoiceMode.REQUIRED } } },
  ...[
    ["function.description", { description: "Does it." }],
    ["function.strict", { strict: true }],
  ].map(([member, value]) => ({
    path: `tools[0].${member}`,
    without: { ...asked, tools: [{ tool: functionTool }] },
    request: { ...asked, tools: [{ tool: { case: "function" as const, value: { ...functionTool.value, ...(value as object) } } }] },
  })),
  {
    path: "tools[0].cache",
    without: { ...asked, tools: [{ tool: functionTool }] },
    request: { ...asked, tools: [{ tool: functionTool, cache: {} }] },
  },
  { path: "tools[0]", request: { ...asked, tools: [{ tool: { case: "custom", value: { name: "c", description: "d" } } }] } },
  {
    path: "tools[0]",
    request: {
      ...asked,
      tools: [{ tool: { case: "hosted", value: { kind: HostedToolKind.WEB_SEARCH, format: "elsewhere", type: "web" } } }],
    },
  },
  {
    path: "tools[0]",
    request: {
      ...asked,
      tools: [{ tool: { case: "hosted", value: { kind: HostedToolKind.UNSPECIFIED, format: "elsewhere", type: "x" } } }],
    },
  },
  {
    path: "tools[0].strange",
    without: { ...asked, tools: [{ tool: functionTool }] },
    request: { ...asked, tools: [{ tool: functionTool, extrasJson: { elsewhere: '{"strange":1}' } }] },
  },
  { path: "output_format", request: { ...asked, outputFormat: { kind: OutputKind.JSON_OBJECT } } },
  {
    path: "output_format",
    request: { ...asked, outputFormat: { kind: OutputKind.JSON_SCHEMA, name: "n", schemaJson: '{"type":"object"}' } },
  },
  {
    path: "output_format.description",
    without: { ...asked, outputFormat: { kind: OutputKind.JSON_SCHEMA, name: "n", schemaJson: '{"type":"object"}' } },
    request: { ...asked, outputFormat: { kind: OutputKind.JSON_SCHEMA, name: "n", schemaJson: '{"type":"object"}', description: "d" } },
  },
  { path: "output_format.grammar", request: { ...asked, outputFormat: { kind: OutputKind.GRAMMAR, grammar: { definition: "x" } } } },
  { path: "output_format.verbosity", request: { ...asked, outputFormat: { verbosity: Verbosity.LOW } } },
  { path: "output_format.modalities", request: { ...asked, outputFormat: { modalities: [Modality.IMAGE] } } },
  {
    path: "output_format.audio",
    request: { ...asked, outputFormat: { modalities: [Modality.AUDIO], audio: { voice: "alloy", format: "mp3" } } },
  },
  { path: "reasoning.effort", request: { ...asked, reasoning: { effort: ReasoningEffort.HIGH } } },
  { path: "reasoning.effort", request: { ...asked, reasoning: { effort: ReasoningEffort.NONE } } },
  { path: "reasoning.budget_tokens", request: { ...asked, reasoning: { budgetTokens: 2_048 } } },
  { path: "reasoning.mode", request: { ...asked, reasoning: { mode: ReasoningMode.ENABLED } } },
  { path: "reasoning.mode", request: { ...asked, reasoning: { mode: ReasoningMode.DISABLED } } },
  {
    path: "reasoning.display",
    without: { ...asked, reasoning: { effort: ReasoningEffort.HIGH } },
    request: { ...asked, reasoning: { effort: ReasoningEffort.HIGH, display: ReasoningDisplay.DETAILED } },
  },
  { path: "cache.key", request: { ...asked, cache: { key: "k" } } },
  { path: "cache.ttl_seconds", request: { ...asked, cache: { ttlSeconds: 3_600 } } },
  { path: "cache.automatic", request: { ...asked, cache: { automatic: true } } },
  { path: "cache.content_id", request: { ...asked, cache: { contentId: "c" } } },
  { path: "server_state", request: { ...asked, serverState: { previousId: "resp_1" } } },
  { path: "server_state", request: { ...asked, serverState: { conversationId: "conv_1" } } },
  { path: "server_state", request: { ...asked, serverState: { store: true } } },
  ...[ServiceTier.FLEX, ServiceTier.PRIORITY, ServiceTier.FAST].map((serviceTier) => ({
    path: "service_tier",
    request: { ...asked, serviceTier },
  })),
  { path: "metadata", request: { ...asked, metadata: { team: "a" } } },
  { path: "strange", request: { ...asked, extrasJson: { elsewhere: '{"strange":{"deep":[1]}}' } } },
  { path: "messages[0].name", request: { messages: [{ ...user(text("hi")), name: "ada" }] } },
  { path: "messages[0].strange", request: { messages: [{ ...user(text("hi")), extrasJson: { elsewhere: '{"strange":1}' } }] } },
  { path: "messages[0].parts[0].strange", request: { messages: [user(text("hi", { extrasJson: { elsewhere: '{"strange":1}' } }))] } },
  { path: "messages[0].parts[0].cache", request: { messages: [user(text("hi", { cache: { ttlSeconds: 300 } }))] } },
  {
    path: "messages[1].parts[0].annotations",
    without: reply(text("hello")),
    request: reply(text("hello", { annotations: [{ source: { case: "url", value: { url: "https://a.b" } } }] })),
  },
  {
    path: "messages[1].parts[0].signature",
    without: reply(text("hello")),
    request: reply(text("hello", { signature: { value: "c2ln", format: "elsewhere", provider: "q" } })),
  },
  {
    path: "messages[1].parts[0]",
    without: reply(text("hello")),
    request: reply({ part: { case: "reasoning", value: { text: "Hm." } } }, text("hello")),
  },
  {
    path: "messages[1].parts[0]",
    without: reply(text("hello")),
    request: reply(
      { part: { case: "reasoning", value: { text: "Hm." } }, signature: { value: "c2ln", format: "elsewhere", provider: "q" } },
      text("hello"),
    ),
  },
  {
    path: "messages[1].parts[0]",
    without: reply(text("hello")),
    request: reply({ part: { case: "opaque", value: { format: "elsewhere", type: "x", dataJson: "{}" } } }, text("hello")),
  },
  {
    path: "messages[1].parts[0]",
    without: reply(text("hello")),
    request: reply({ part: { case: "refusal", value: "No." } }, text("hello")),
  },
  { path: "messages[0].parts[1].image", request: { messages: [user(text("hi"), image())] } },
  {
    path: "messages[0].parts[1].image.detail",
    without: { messages: [user(text("hi"), image())] },
    request: { messages: [user(text("hi"), image({ detail: MediaDetail.HIGH }))] },
  },
  {
    path: "messages[0].parts[1].image",
    request: { messages: [user(text("hi"), media("image", { source: { case: "url", value: "https://a.b/c.png" } }))] },
  },
  {
    path: "messages[0].parts[1].image",
    request: { messages: [user(text("hi"), media("image", { source: { case: "providerFile", value: { id: "file_1", provider: "q" } } }))] },
  },
  { path: "messages[0].parts[1].file", request: { messages: [user(text("hi"), file())] } },
  {
    path: "messages[0].parts[1].file.filename",
    without: { messages: [user(text("hi"), file())] },
    request: { messages: [user(text("hi"), file({ filename: "a.pdf" }))] },
  },
  ...[{ title: "t" }, { context: "c" }, { citations: true }].map((document) => ({
    path: "messages[0].parts[1].file.document",
    without: { messages: [user(text("hi"), file())] },
    request: { messages: [user(text("hi"), file({ document }))] },
  })),
  {
    path: "messages[0].parts[1].audio",
    request: {
      messages: [user(text("hi"), media("audio", { source: { case: "data", value: Buffer.from("RIFF0000WAVE") }, mimeType: "audio/wav" }))],
    },
  },
  {
    path: "messages[0].parts[1].video",
    request: { messages: [user(text("hi"), media("video", { source: { case: "data", value: Buffer.from("x") }, mimeType: "video/mp4" }))] },
  },
  {
    path: "messages[0].parts[1].video",
    without: { messages: [user(text("hi"), media("video", { source: { case: "data", value: Buffer.from("x") }, mimeType: "video/mp4" }))] },
    request: {
      messages: [
        user(
          text("hi"),
          media("video", { source: { case: "data", value: Buffer.from("x") }, mimeType: "video/mp4", startMs: 500, framesPerSecond: 2 }),
        ),
      ],
    },
  },
  {
    path: "messages[2].parts[0].tool_result.is_error",
    without: answered({ resultJson: '{"a":1}' }),
    request: answered({ resultJson: '{"a":1}', isError: true }),
  },
  { path: "messages[2].parts[0].tool_result.content[0]", without: answered({}), request: answered({ content: [image()] }) },
  {
    path: "messages[2].parts[0].tool_result.content[0]",
    without: answered({ content: [text("a")] }),
    request: answered({ content: [text("a", { cache: {} })] }),
  },
];

/** What a service does by itself; to ask for it changes nothing. */
const unasked: Readonly<Record<string, readonly Request[]>> = {
  "openai-chat": [{ cache: { automatic: true } }],
  "openai-responses": [{ cache: { automatic: true } }],
  "cohere-chat": [{ cache: { automatic: true } }],
  gemini: [{ reasoning: { mode: ReasoningMode.ENABLED } }],
};

describe.each(Object.entries(formats))("%s", (format, write) => {
  test.each(settings.map((setting, index) => ({ ...setting, name: `${index} ${setting.path}` })))(
    "$name",
    ({ path, without = asked, request }) => {
      const before = tryWrite(write, without);
      const after = tryWrite(write, request);
      if (unasked[format]?.some((done) => isDeepStrictEqual({ ...asked, ...done }, request))) return;
      if (before !== undefined && after !== undefined && after.sent !== before.sent) return;
      const named = after?.named ?? [];
      expect(
        named.filter((place) => isAbout(place, path)),
        `${path} is neither sent nor named; named: ${named.join(", ")}`,
      ).not.toEqual([]);
    },
  );
});

function tryWrite(write: (request: GenerateRequest) => Written, init: Request): { sent: string; named: string[] } | undefined {
  const request = create(GenerateRequestSchema, { model: "m", ...structuredClone(init) });
  try {
    const { sent, report } = write(request);
    const named = report.notes.map(({ path }) => path);
    try {
      report.settle(false);
      return { sent, named };
    } catch (refusal) {
      return { sent: "refused", named: [...named, ...fieldsOf(refusal)] };
    }
  } catch (refusal) {
    return { sent: "refused", named: fieldsOf(refusal) };
  }
}

function fieldsOf(refusal: unknown): string[] {
  if (!(refusal instanceof GatewayError)) throw refusal;
  return refusal.details.fields?.map(({ field }) => field) ?? [];
}

/** The place itself, one inside it, or one that it is inside of. */
function isAbout(place: string, path: string): boolean {
  const isInside = (inner: string, outer: string) => inner.startsWith(outer) && !/^\w/.test(inner.slice(outer.length));
  return isInside(place, path) || isInside(path, place);
}
