/**
 * Unknown fields at any depth come out again for the same format (contract.md 1, rule 6), also where bytes are not passed on:
 * every object of a rich request, and every piece of a streamed answer, gets a member that nobody knows.
 */
import { describe, expect, test } from "vitest";
import { anthropicMessagesDialect, createAnthropicMessagesCodec } from "../../src/codecs/anthropic-messages/index.ts";
import { createGeminiCodec, geminiDialect } from "../../src/codecs/gemini/index.ts";
import { createOpenAiChatCodec, openAiChatDialect } from "../../src/codecs/openai-chat/index.ts";
import { createOpenAiResponsesCodec, openAiResponsesDialect } from "../../src/codecs/openai-responses/index.ts";
import type { Dialect, UpstreamCodec } from "../../src/core/dialect.ts";
import { type JsonValue, parseJson } from "../../src/core/json.ts";

const png = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
const pdf = "JVBERi0xLjQK";
/** JSON of the client's own, which is not looked into. */
const free = new Set([
  "schema",
  "parameters",
  "input_schema",
  "args",
  "input",
  "metadata",
  "response",
  "parametersJsonSchema",
  "responseJsonSchema",
]);

/** `value` with a member `xu<n>` in every object; `places` gets where each stands. */
function inject(value: JsonValue, place: string, places: string[]): JsonValue {
  if (Array.isArray(value)) return value.map((element, index) => inject(element, `${place}[${index}]`, places));
  if (typeof value !== "object" || value === null) return value;
  const injected: Record<string, JsonValue> = {};
  for (const [name, member] of Object.entries(value)) {
    injected[name] = free.has(name) && !Array.isArray(member) ? member : inject(member, `${place}.${name}`, places);
  }
  injected[`xu${places.length}`] = { deep: [places.length] };
  places.push(place);
  return injected;
}

function lost(text: string, places: readonly string[]): string[] {
  return places.filter((_, index) => !text.includes(`"xu${index}":{"deep":[${index}]}`));
}

interface Case {
  readonly name: string;
  readonly dialect: Dialect;
  readonly codec: UpstreamCodec;
  readonly body: object;
}

const requests: readonly Case[] = [
  {
    name: "openai-chat",
    dialect: openAiChatDialect,
    codec: createOpenAiChatCodec(),
    body: {
      model: "m",
      messages: [
        { role: "system", content: [{ type: "text", text: "json" }] },
        {
          role: "user",
          content: [
            { type: "text", text: "a" },
            { type: "image_url", image_url: { url: `data:image/png;base64,${png}`, detail: "low" } },
            { type: "input_audio", input_audio: { data: Buffer.from("RIFF....WAVE").toString("base64"), format: "wav" } },
            { type: "file", file: { filename: "a.pdf", file_data: `data:application/pdf;base64,${pdf}` } },
          ],
        },
        {
          role: "assistant",
          content: [
            { type: "text", text: "b" },
            { type: "refusal", refusal: "no" },
          ],
          tool_calls: [{ id: "c1", type: "function", function: { name: "f", arguments: "{}" } }],
        },
        { role: "tool", tool_call_id: "c1", content: [{ type: "text", text: "r" }] },
      ],
      tools: [
        { type: "function", function: { name: "f", parameters: { type: "object" } } },
        { type: "custom", custom: { name: "g", format: { type: "grammar", grammar: { syntax: "lark", definition: "start: x" } } } },
      ],
      tool_choice: { type: "function", function: { name: "f" } },
      response_format: { type: "json_schema", json_schema: { name: "n", schema: { type: "object" } } },
      prediction: { type: "content", content: "x" },
    },
  },
  {
    name: "anthropic-messages",
    dialect: anthropicMessagesDialect,
    codec: createAnthropicMessagesCodec(),
    body: {
      model: "m",
      max_tokens: 5000,
      system: [{ type: "text", text: "s", cache_control: { type: "ephemeral", ttl: "1h" } }],
      messages: [
        {
          role: "user",
          content: [
            { type: "image", source: { type: "base64", media_type: "image/png", data: png } },
            { type: "image", source: { type: "url", url: "https://a.example/b.png" } },
            {
              type: "document",
              title: "T",
              citations: { enabled: true },
              source: { type: "base64", media_type: "application/pdf", data: pdf },
            },
            { type: "document", source: { type: "content", content: [{ type: "text", text: "c" }] } },
            { type: "search_result", source: "https://x", title: "t", content: [{ type: "text", text: "z" }] },
          ],
        },
        {
          role: "assistant",
          content: [
            { type: "thinking", thinking: "t", signature: "c2ln" },
            { type: "redacted_thinking", data: "ZGF0YQ==" },
            {
              type: "text",
              text: "b",
              citations: [{ type: "char_location", cited_text: "h", document_index: 0, start_char_index: 0, end_char_index: 1 }],
            },
            { type: "tool_use", id: "toolu_1", name: "f", input: { q: 1 } },
          ],
        },
        {
          role: "user",
          content: [
            {
              type: "tool_result",
              tool_use_id: "toolu_1",
              content: [
                { type: "text", text: "r" },
                { type: "image", source: { type: "base64", media_type: "image/png", data: png } },
              ],
            },
          ],
        },
      ],
      tools: [
        { name: "f", description: "d", input_schema: { type: "object" } },
        { type: "web_search_20250305", name: "web_search" },
      ],
      tool_choice: { type: "auto" },
      thinking: { type: "enabled", budget_tokens: 1024 },
      output_config: { effort: "low" },
    },
  },
  {
    name: "gemini",
    dialect: geminiDialect,
    codec: createGeminiCodec(),
    body: {
      systemInstruction: { parts: [{ text: "s" }] },
      contents: [
        {
          role: "user",
          parts: [
            { text: "a" },
            { inlineData: { mimeType: "image/png", data: png } },
            { fileData: { mimeType: "video/mp4", fileUri: "gs://a/b" }, videoMetadata: { fps: 1 } },
          ],
        },
        {
          role: "model",
          parts: [
            { text: "t", thought: true },
            { text: "b", thoughtSignature: "c2ln" },
            { functionCall: { id: "c1", name: "f", args: { q: 1 } } },
            { executableCode: { language: "PYTHON", code: "x" } },
          ],
        },
        {
          role: "user",
          parts: [
            {
              functionResponse: {
                id: "c1",
                name: "f",
                response: { output: "r" },
                parts: [{ inlineData: { mimeType: "image/png", data: png } }],
              },
            },
          ],
        },
      ],
      tools: [{ functionDeclarations: [{ name: "f", parametersJsonSchema: { type: "object" } }] }, { googleSearch: {} }],
      toolConfig: { functionCallingConfig: { mode: "ANY", allowedFunctionNames: ["f"] } },
      generationConfig: {
        thinkingConfig: { thinkingLevel: "LOW" },
        speechConfig: { voiceConfig: { prebuiltVoiceConfig: { voiceName: "x" } } },
      },
      safetySettings: [{ category: "HARM_CATEGORY_HARASSMENT", threshold: "BLOCK_NONE" }],
    },
  },
  {
    name: "openai-responses",
    dialect: openAiResponsesDialect,
    codec: createOpenAiResponsesCodec(),
    body: {
      model: "m",
      input: [
        {
          type: "message",
          role: "user",
          content: [
            { type: "input_text", text: "a" },
            { type: "input_image", image_url: `data:image/png;base64,${png}`, detail: "low" },
            { type: "input_file", filename: "a.pdf", file_data: `data:application/pdf;base64,${pdf}` },
          ],
        },
        {
          type: "message",
          id: "msg_1",
          role: "assistant",
          status: "completed",
          content: [
            {
              type: "output_text",
              text: "b",
              annotations: [{ type: "url_citation", url: "https://a", title: "t", start_index: 0, end_index: 1 }],
            },
            { type: "refusal", refusal: "no" },
          ],
        },
        { type: "function_call", id: "fc_1", call_id: "c1", name: "f", arguments: "{}" },
        {
          type: "function_call_output",
          call_id: "c1",
          output: [
            { type: "input_text", text: "r" },
            { type: "input_image", image_url: `data:image/png;base64,${png}` },
          ],
        },
        { type: "web_search_call", id: "ws_1", status: "completed", action: { type: "search", query: "q" } },
      ],
      tools: [
        { type: "function", name: "f", parameters: { type: "object" }, strict: false },
        { type: "web_search", user_location: { type: "approximate" } },
      ],
      text: { format: { type: "json_schema", name: "n", schema: { type: "object" } }, verbosity: "low" },
      reasoning: { effort: "low" },
      store: false,
    },
  },
];

test.each(requests)("a request of $name loses none", ({ dialect, codec, body }) => {
  const places: string[] = [];
  const sent = inject(body as JsonValue, "", places);
  const { generate } = dialect.readRequest(parseJson(JSON.stringify(sent)), { model: "m", stream: false });
  const traits = { midSystem: true, toolResultImages: true, mediaResolution: true };
  const { body: written } = codec.writeRequest(generate, { id: "p/m", provider: "p", model: "m", traits }, { stream: false });
  expect(places.length).toBeGreaterThan(20);
  expect(lost(written, places)).toEqual([]);
});

describe("pieces of a streamed answer lose none:", () => {
  const delta = (index: number, piece: object) => ({
    event: "content_block_delta",
    data: { type: "content_block_delta", index, delta: piece },
  });
  const call = (piece: object) => ({
    event: "",
    data: { id: "chatcmpl-1", choices: [{ index: 0, delta: { tool_calls: [piece] }, finish_reason: null }] },
  });

  test.each([
    {
      name: "anthropic-messages",
      dialect: anthropicMessagesDialect,
      codec: createAnthropicMessagesCodec(),
      before: [
        { type: "message_start", message: { id: "msg_1", model: "m", usage: { input_tokens: 1, output_tokens: 1 } } },
        { type: "content_block_start", index: 0, content_block: { type: "thinking", thinking: "", signature: "" } },
        { type: "content_block_start", index: 1, content_block: { type: "text", text: "" } },
        { type: "content_block_start", index: 2, content_block: { type: "tool_use", id: "toolu_1", name: "f", input: {} } },
      ].map((data) => ({ event: data.type, data })),
      pieces: [
        delta(0, { type: "thinking_delta", thinking: "hm" }),
        delta(1, { type: "text_delta", text: "a" }),
        delta(1, { type: "text_delta", text: "" }),
        delta(2, { type: "input_json_delta", partial_json: "{}" }),
      ],
      after: ["content_block_stop 0", "content_block_stop 1", "content_block_stop 2", "message_stop"].map((words) => {
        const [type = "", index] = words.split(" ");
        return { event: type, data: { type, ...(index === undefined ? {} : { index: Number(index) }) } };
      }),
    },
    {
      name: "openai-chat",
      dialect: openAiChatDialect,
      codec: createOpenAiChatCodec(),
      before: [],
      pieces: [
        { event: "", data: { id: "chatcmpl-1", choices: [{ index: 0, delta: { role: "assistant", content: "a" }, finish_reason: null }] } },
        call({ index: 0, id: "c", type: "function", function: { name: "f", arguments: "" } }),
        call({ index: 0, function: { arguments: '{"a":' } }),
        call({ index: 0, function: { arguments: "1}" } }),
      ],
      after: [
        { event: "", data: { id: "chatcmpl-1", choices: [{ index: 0, delta: {}, finish_reason: "tool_calls" }] } },
        { event: "", data: "[DONE]" },
      ],
    },
  ])("$name", ({ dialect, codec, before, pieces, after }) => {
    const request = dialect.readRequest(
      parseJson(JSON.stringify({ model: "m", max_tokens: 5, stream: true, messages: [{ role: "user", content: "x" }] })),
      {},
    );
    const reader = codec.eventReader("p");
    const writer = dialect.eventWriter(request, { generationId: "g", created: 1 });
    const places: string[] = [];
    let text = "";
    const pass = ({ event, data }: { event: string; data: unknown }) => {
      text += writer.write({ events: reader.read({ event, data: typeof data === "string" ? data : JSON.stringify(data) }) });
    };
    for (const record of before) pass(record);
    for (const [index, { event, data }] of pieces.entries()) pass({ event, data: inject(data as JsonValue, `piece ${index}`, places) });
    for (const record of after) pass(record);
    text += writer.write({ events: reader.end() }) + writer.end();
    expect(lost(text, places)).toEqual([]);
  });
});
