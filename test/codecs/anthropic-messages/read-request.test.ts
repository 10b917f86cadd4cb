import { toJson } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { ServiceTier } from "../../../gen/dragoman/v1/call_pb.ts";
import {
  type GenerateRequest,
  GenerateRequestSchema,
  HostedToolKind,
  OutputKind,
  type Part,
  ReasoningDisplay,
  ReasoningEffort,
  ReasoningMode,
  Role,
  ToolChoiceMode,
} from "../../../gen/dragoman/v1/generate_pb.ts";
import { createAnthropicMessagesCodec, anthropicMessagesDialect as dialect } from "../../../src/codecs/anthropic-messages/index.ts";
import type { RequestFacts } from "../../../src/core/dialect.ts";
import { GatewayError } from "../../../src/core/error.ts";
import { type JsonObject, parseJson } from "../../../src/core/json.ts";
import { deepFreeze } from "./answers.ts";
import { targetWith } from "./written.ts";

const form = "anthropic-messages";

function readText(text: string, facts: RequestFacts = {}) {
  return dialect.readRequest(deepFreeze(parseJson(text)), facts);
}

/** A request with one user message unless `messages` are given. */
function read(more: object, facts: RequestFacts = {}): GenerateRequest {
  return readText(JSON.stringify({ model: "claude", max_tokens: 9, messages: [{ role: "user", content: "hi" }], ...more }), facts).generate;
}

function partsOf(content: unknown, role = "user"): Part[] {
  return read({ messages: [{ role, content }] }).messages[0]?.parts ?? [];
}

function partOf(block: object, role = "user"): Part {
  const [part] = partsOf([block], role);
  if (part === undefined) throw new Error("no part");
  return part;
}

function asJson(request: GenerateRequest): unknown {
  return toJson(GenerateRequestSchema, request);
}

function failure(act: () => unknown): GatewayError {
  try {
    act();
  } catch (error) {
    if (error instanceof GatewayError) return error;
    throw error;
  }
  throw new Error("nothing was thrown");
}

describe("a request", () => {
  test("of the plainest kind", () => {
    const { generate, stream, includeUsage } = readText('{"model":"claude","max_tokens":9,"messages":[{"role":"user","content":"hi"}]}');
    expect(asJson(generate)).toEqual({
      model: "claude",
      messages: [{ role: "ROLE_USER", parts: [{ text: "hi" }] }],
      sampling: { maxOutputTokens: 9 },
    });
    expect(stream).toBeUndefined();
    expect(includeUsage).toBe(true);
  });

  test("without max_tokens is taken, as the target's own limit is filled in", () => {
    expect(readText('{"model":"m","messages":[{"role":"user","content":"hi"}]}').generate.sampling).toBeUndefined();
  });

  test("system text is the first message, its blocks kept apart; a later role system stays where it stands", () => {
    const { messages } = read({
      system: [
        { type: "text", text: "one", cache_control: { type: "ephemeral", ttl: "1h" } },
        { type: "text", text: "two" },
      ],
      messages: [
        { role: "user", content: "hi" },
        { role: "system", content: "now in French" },
      ],
    });
    expect(messages.map(({ role }) => role)).toEqual([Role.SYSTEM, Role.USER, Role.SYSTEM]);
    expect(messages[0]?.parts.map(({ part, cache }) => [part.value, cache?.ttlSeconds])).toEqual([
      ["one", 3600],
      ["two", undefined],
    ]);
    expect(read({ system: "be brief" }).messages[0]).toMatchObject({ role: Role.SYSTEM, parts: [{ part: { value: "be brief" } }] });
    expect(read({ system: [] }).messages).toHaveLength(1);
  });

  test("sampling, tier, user, cache", () => {
    const request = read({
      temperature: 0.5,
      top_p: 0.9,
      top_k: 40,
      stop_sequences: ["END", "\n"],
      metadata: { user_id: "u1" },
      service_tier: "standard_only",
      cache_control: { type: "ephemeral", ttl: "1h" },
    });
    expect(request.sampling).toMatchObject({ temperature: 0.5, topP: 0.9, topK: 40, stop: ["END", "\n"], maxOutputTokens: 9 });
    expect(request.attribution?.endUserId).toBe("u1");
    expect(request.serviceTier).toBe(ServiceTier.STANDARD);
    expect(request.cache).toMatchObject({ automatic: true, ttlSeconds: 3600 });
    expect(request.extrasJson).toEqual({});
  });

  test("speed is a tier; a tier beside it, and words without an equal, are kept", () => {
    const fast = read({ speed: "fast", service_tier: "auto" });
    expect([fast.serviceTier, fast.extrasJson[form]]).toEqual([ServiceTier.FAST, '{"service_tier":"auto"}']);
    const other = read({ speed: "standard", service_tier: "later" });
    expect([other.serviceTier, other.extrasJson[form]]).toEqual([ServiceTier.UNSPECIFIED, '{"speed":"standard","service_tier":"later"}']);
  });

  test.each([
    [
      { type: "enabled", budget_tokens: 2048, display: "omitted" },
      { mode: ReasoningMode.ENABLED, budgetTokens: 2048, display: ReasoningDisplay.OMITTED },
    ],
    [{ type: "disabled" }, { mode: ReasoningMode.DISABLED }],
    [
      { type: "adaptive", display: "summarized" },
      { mode: ReasoningMode.ADAPTIVE, display: ReasoningDisplay.SUMMARY },
    ],
    [{ type: "between_tools" }, { mode: ReasoningMode.BETWEEN_TOOLS }],
  ])("thinking %j", (thinking, expected) => {
    const { reasoning, extrasJson } = read({ thinking, output_config: { effort: "xhigh" } });
    expect(reasoning).toMatchObject({ ...expected, effort: ReasoningEffort.XHIGH });
    expect(extrasJson).toEqual({});
  });

  test("thinking and effort that are not known are kept for the same format", () => {
    const { reasoning, extrasJson } = read({
      thinking: { type: "dreaming", depth: 2 },
      output_config: { effort: "ultra", task_budget: { total: 5 } },
    });
    expect(reasoning).toBeUndefined();
    expect(JSON.parse(extrasJson[form] ?? "")).toEqual({
      thinking: { type: "dreaming", depth: 2 },
      output_config: { effort: "ultra", task_budget: { total: 5 } },
    });
  });

  test.each([["output_config"], ["output_format"]])("a schema of %s, its text as it was", (place) => {
    const schema = '{"type":"object","properties":{"b":{"const":12345678901234567890},"a":{}}}';
    const shape = `{"type":"json_schema","schema":${schema}}`;
    const value = place === "output_config" ? `{"format":${shape}}` : shape;
    const { generate } = readText(`{"model":"m","messages":[{"role":"user","content":"hi"}],"${place}":${value}}`);
    expect(generate.outputFormat).toMatchObject({ kind: OutputKind.JSON_SCHEMA, schemaJson: schema });
    expect(generate.extrasJson).toEqual({});
  });

  test("what is not modelled is kept, null included", () => {
    const more = {
      container: { id: "c", skills: [] },
      inference_geo: "eu",
      mcp_servers: [{ type: "url", name: "x", url: "https://x.example" }],
      context_management: { edits: [] },
      metadata: { trace: "t" },
      thinking: null,
    };
    expect(JSON.parse(read(more).extrasJson[form] ?? "")).toEqual(more);
  });

  test("any version is taken, and beta features are kept with what is not modelled", () => {
    const headers: Record<string, string> = { "anthropic-version": "2030-01-01", "anthropic-beta": "one-2025-01-01, two,,one-2025-01-01" };
    const request = read({ container: "c" }, { header: (name) => headers[name] });
    expect(JSON.parse(request.extrasJson[form] ?? "")).toEqual({ betas: ["one-2025-01-01", "two"], container: "c" });
    const { headers: sent, body } = createAnthropicMessagesCodec({ betas: ["zero", "two"] }).writeRequest(request, targetWith(), {
      stream: true,
    });
    expect(sent["anthropic-beta"]).toBe("zero,two,one-2025-01-01");
    expect(JSON.parse(body)).toMatchObject({ container: "c" });
    expect(JSON.parse(body)).not.toHaveProperty("betas");
  });

  test("a beta that is no name does not become a header", () => {
    const request = read({ betas: ["x\r\nx-evil: 1"] });
    const error = failure(() => createAnthropicMessagesCodec().writeRequest(request, targetWith(), { stream: true }));
    expect(error.details.fields?.[0]?.field).toBe("extras_json.anthropic-messages.betas[0]");
    expect(error.message).not.toContain("evil");
  });
});

describe("blocks", () => {
  const marker = { cache_control: { type: "ephemeral" } };

  test("text with citations and a marker", () => {
    const part = partOf({
      type: "text",
      text: "hi",
      citations: [
        { type: "char_location", cited_text: "h", document_index: 0, document_title: null, start_char_index: 0, end_char_index: 1 },
        { type: "new_location", cited_text: "i" },
      ],
      ...marker,
      later: 1,
    });
    expect(part.annotations.map(({ citedText, source }) => [citedText, source.case])).toEqual([
      ["h", "document"],
      ["i", "opaque"],
    ]);
    expect(part.cache).toMatchObject({});
    expect(part.cache?.ttlSeconds).toBeUndefined();
    expect(part.extrasJson).toEqual({ [form]: '{"later":1}' });
  });

  test.each([
    [{ type: "ephemeral" }, undefined, {}],
    [{ type: "ephemeral", ttl: "5m" }, 300, {}],
    [{ type: "ephemeral", ttl: "1h", scope: "global" }, 3600, { [form]: '{"cache_control":{"scope":"global"}}' }],
  ])("case 36: marker %j", (cache_control, ttlSeconds, extras) => {
    const part = partOf({ type: "text", text: "x", cache_control });
    expect([part.cache?.ttlSeconds, part.extrasJson]).toEqual([ttlSeconds, extras]);
  });

  test.each([[null], [{ type: "eternal" }], [{ type: "ephemeral", ttl: "24h" }]])(
    "case 36: %j is no marker here, and is kept",
    (cache_control) => {
      const part = partOf({ type: "text", text: "x", cache_control });
      expect(part.cache).toBeUndefined();
      expect(JSON.parse(part.extrasJson[form] ?? "")).toEqual({ cache_control });
    },
  );

  test("case 36: a marker on a message counts for its last part", () => {
    const [message] = read({
      messages: [
        {
          role: "user",
          content: [
            { type: "text", text: "a" },
            { type: "text", text: "b" },
          ],
          ...marker,
        },
      ],
    }).messages;
    expect(message?.parts.map(({ cache }) => cache !== undefined)).toEqual([false, true]);
    expect(message?.extrasJson).toEqual({});
  });

  test.each([
    [
      "base64",
      { type: "base64", media_type: "image/png", data: "AQI=" },
      { source: { case: "data", value: new Uint8Array([1, 2]) }, mimeType: "image/png" },
    ],
    ["url", { type: "url", url: "https://a.example/i.png" }, { source: { case: "url", value: "https://a.example/i.png" }, mimeType: "" }],
    ["file", { type: "file", file_id: "file_1" }, { source: { case: "providerFile", value: { id: "file_1" } } }],
  ])("image by %s", (_, source, expected) => {
    const part = partOf({ type: "image", source, transformations: { oversized_image: "error" } });
    expect(part.part).toMatchObject({ case: "image", value: expected });
    expect(part.extrasJson[form]).toBe('{"transformations":{"oversized_image":"error"}}');
  });

  test.each([
    ["base64", { type: "base64", media_type: "application/pdf", data: "JVBERi0=" }, "application/pdf"],
    ["url", { type: "url", url: "https://a.example/d.pdf" }, "application/pdf"],
    ["text", { type: "text", media_type: "text/plain", data: "für 👋" }, "text/plain"],
    ["file", { type: "file", file_id: "file_1" }, ""],
  ])("document by %s", (_, source, mimeType) => {
    const part = partOf({ type: "document", source, title: "T", context: "C", citations: { enabled: true } });
    expect(part.part).toMatchObject({ case: "file", value: { mimeType, document: { title: "T", context: "C", citations: true } } });
    expect(part.extrasJson).toEqual({});
  });

  test.each([
    [{ type: "document", source: { type: "content", content: [{ type: "text", text: "a" }] } }],
    [{ type: "image", source: { type: "hologram", id: 1 } }],
    [{ type: "search_result", source: "s", title: "t", content: [{ type: "text", text: "x" }] }],
    [{ type: "server_tool_use", id: "srv_1", name: "web_search", input: { query: "q" } }],
    [{ type: "web_search_tool_result", tool_use_id: "srv_1", content: [], cache_control: { type: "ephemeral" } }],
    [{ type: "tomorrow", deep: [1, { two: null }] }],
  ])("case 37: %j is kept whole, in its place", (block) => {
    const [before, part, after] = partsOf([{ type: "text", text: "a" }, block, { type: "text", text: "b" }], "assistant");
    expect([before?.part.value, after?.part.value]).toEqual(["a", "b"]);
    expect(part?.part).toMatchObject({ case: "opaque", value: { format: form, type: block.type, dataJson: JSON.stringify(block) } });
  });

  test("case 23: thinking keeps signature and text; whose it is, the client cannot say", () => {
    const [signed, unsigned, redacted] = partsOf(
      [
        { type: "thinking", thinking: "", signature: "EqQB+/9==" },
        { type: "thinking", thinking: "hm", signature: "" },
        { type: "redacted_thinking", data: "EmwK==" },
      ],
      "assistant",
    );
    expect(signed).toMatchObject({ part: { value: { text: "" } }, signature: { value: "EqQB+/9==", format: "anthropic", provider: "" } });
    expect(unsigned).toMatchObject({ part: { value: { text: "hm", redacted: false } } });
    expect(unsigned?.signature).toBeUndefined();
    expect(redacted).toMatchObject({ part: { value: { redacted: true } }, signature: { value: "EmwK==", format: "anthropic" } });
    expect([signed?.extrasJson, redacted?.extrasJson]).toEqual([{}, {}]);
  });

  test("calls keep the text of their input, results their blocks and failure", () => {
    const { generate } = readText(
      '{"model":"m","messages":[{"role":"assistant","content":[{"type":"tool_use","id":"functions.Bash:0","name":"f","input":{"b":12345678901234567890,"a":[]},"caller":{"type":"direct"}}]},' +
        '{"role":"user","content":[{"type":"tool_result","tool_use_id":"functions.Bash:0","is_error":true,"content":[{"type":"text","text":"no"},{"type":"image","source":{"type":"url","url":"https://a.example"}},{"type":"tool_reference","tool_name":"g"}]},' +
        '{"type":"tool_result","tool_use_id":"b","content":"done"},{"type":"tool_result","tool_use_id":"c"}]}]}',
    );
    const [call] = generate.messages[0]?.parts ?? [];
    expect(call?.part).toMatchObject({
      case: "toolCall",
      value: { id: "functions.Bash:0", argumentsJson: '{"b":12345678901234567890,"a":[]}' },
    });
    expect(call?.extrasJson).toEqual({ [form]: '{"caller":{"type":"direct"}}' });
    const results = (generate.messages[1]?.parts ?? []).map(({ part }) => (part.case === "toolResult" ? part.value : undefined));
    expect(results.map((result) => [result?.toolCallId, result?.isError, result?.content.map(({ part }) => part.case)])).toEqual([
      ["functions.Bash:0", true, ["text", "image", "opaque"]],
      ["b", false, ["text"]],
      ["c", false, []],
    ]);
  });
});

describe("tools", () => {
  test("functions keep the text of their schema and what is not modelled", () => {
    const schema = '{"type":"object","properties":{"z":{},"a":{"maximum":12345678901234567890}}}';
    const { generate } = readText(
      `{"model":"m","messages":[{"role":"user","content":"x"}],"tools":[{"name":"f","description":"d","input_schema":${schema},"strict":true,"defer_loading":true,"cache_control":{"type":"ephemeral"}},{"type":"custom","name":"g","input_schema":{}}]}`,
    );
    expect(generate.tools[0]).toMatchObject({
      tool: { case: "function", value: { name: "f", description: "d", parametersJson: schema, strict: true } },
      extrasJson: { [form]: '{"defer_loading":true}' },
    });
    expect(generate.tools[0]?.cache).toBeDefined();
    expect(generate.tools[1]?.tool).toMatchObject({ case: "function", value: { name: "g" } });
  });

  test.each([
    ["web_search_20250305", HostedToolKind.WEB_SEARCH],
    ["web_fetch_20260318", HostedToolKind.WEB_FETCH],
    ["code_execution_20250825", HostedToolKind.CODE_EXECUTION],
    ["computer_20251124", HostedToolKind.COMPUTER],
    ["computer_toolset_20260801", HostedToolKind.COMPUTER],
    ["browser_toolset_20260801", HostedToolKind.COMPUTER],
    ["bash_20250124", HostedToolKind.SHELL],
    ["text_editor_20250728", HostedToolKind.SHELL],
    ["tool_search_tool_bm25", HostedToolKind.TOOL_SEARCH],
    ["mcp_toolset", HostedToolKind.MCP],
    ["memory_20250818", HostedToolKind.UNSPECIFIED],
    ["advisor_20260301", HostedToolKind.UNSPECIFIED],
  ])("%s is the provider's own", (type, kind) => {
    const [tool] = read({ tools: [{ type, name: "n", max_uses: 3, cache_control: { type: "ephemeral", ttl: "1h" } }] }).tools;
    expect(tool).toMatchObject({
      tool: { case: "hosted", value: { kind, format: form, type, configJson: `{"type":"${type}","name":"n","max_uses":3}` } },
      cache: { ttlSeconds: 3600 },
    });
  });

  test.each([
    [{ type: "auto" }, { mode: ToolChoiceMode.AUTO }],
    [
      { type: "any", disable_parallel_tool_use: true },
      { mode: ToolChoiceMode.REQUIRED, parallel: false },
    ],
    [
      { type: "tool", name: "f", disable_parallel_tool_use: false },
      { mode: ToolChoiceMode.TOOL, toolName: "f", parallel: true },
    ],
    [{ type: "none" }, { mode: ToolChoiceMode.NONE }],
  ])("choice %j", (tool_choice, expected) => {
    expect(read({ tool_choice }).toolChoice).toMatchObject(expected);
  });

  test("a choice that is not known is kept", () => {
    const request = read({ tool_choice: { type: "some", of: ["f"] } });
    expect([request.toolChoice, request.extrasJson[form]]).toEqual([undefined, '{"tool_choice":{"type":"some","of":["f"]}}']);
  });
});

describe("what is wrong is named by the client's own path", () => {
  const message = (content: unknown) => ({ messages: [{ role: "user", content }] });

  test.each<[string, JsonObject | object]>([
    ["model", { model: undefined }],
    ["model", { model: "" }],
    ["messages", { messages: undefined }],
    ["messages", { messages: [] }],
    ["messages[0]", { messages: ["hi"] }],
    ["messages[0].role", { messages: [{ role: "tool", content: "x" }] }],
    ["messages[0].content", { messages: [{ role: "user" }] }],
    ["messages[0].content", message(7)],
    ["messages[0].content[1]", message([{ type: "text", text: "x" }, "y"])],
    ["messages[0].content[0].type", message([{ text: "x" }])],
    ["messages[0].content[0].text", message([{ type: "text" }])],
    ["messages[0].content[0].citations[0]", message([{ type: "text", text: "x", citations: [1] }])],
    ["messages[0].content[0].cache_control", message([{ type: "text", text: "x", cache_control: "yes" }])],
    ["messages[0].content[0].source", message([{ type: "image" }])],
    ["messages[0].content[0].source.data", message([{ type: "image", source: { type: "base64", media_type: "image/png", data: "***" } }])],
    ["messages[0].content[0].source.data", message([{ type: "image", source: { type: "base64", data: "data:image/png;base64,AQI=" } }])],
    ["messages[0].content[0].source.url", message([{ type: "document", source: { type: "url", url: "" } }])],
    ["messages[0].content[0].tool_use_id", message([{ type: "tool_result" }])],
    ["messages[0].content[0].content[0].text", message([{ type: "tool_result", tool_use_id: "a", content: [{ type: "text", text: 1 }] }])],
    ["messages[0].content[0].input", message([{ type: "tool_use", id: "a", name: "f", input: "x" }])],
    ["system[0].text", { system: [{ type: "text" }] }],
    ["tools[0].name", { tools: [{ input_schema: {} }] }],
    ["tools[0].input_schema", { tools: [{ name: "f", input_schema: [] }] }],
    ["tool_choice.name", { tool_choice: { type: "tool" } }],
    ["tool_choice", { tool_choice: "auto" }],
    ["max_tokens", { max_tokens: 1.5 }],
    ["max_tokens", { max_tokens: "9" }],
    ["temperature", { temperature: -1 }],
    ["top_p", { top_p: 2 }],
    ["stop_sequences[1]", { stop_sequences: ["a", ""] }],
    ["metadata.user_id", { metadata: { user_id: "x".repeat(257) } }],
    ["metadata.user_id", { metadata: { user_id: "a\nb" } }],
    ["thinking.type", { thinking: { budget_tokens: 1 } }],
    ["thinking.budget_tokens", { thinking: { type: "enabled", budget_tokens: -1 } }],
    ["output_config.format", { output_config: { format: { type: "json_schema" } } }],
    ["output_format.schema", { output_format: { type: "json_schema", schema: [] } }],
    ["stream", { stream: "yes" }],
  ])("%s", (path, more) => {
    const error = failure(() => read(more));
    expect(error.reason).toBe("invalid_request");
    expect(error.details.fields?.[0]?.field).toBe(path);
  });

  test("a body that is no object", () => {
    expect(failure(() => readText("[]")).details.fields?.[0]?.field).toBe("body");
  });
});

describe("places in the core request", () => {
  const client = (system: unknown, path: string) =>
    readText(
      JSON.stringify({
        model: "m",
        ...(system === undefined ? {} : { system }),
        messages: [
          { role: "user", content: [] },
          { role: "user", content: "x" },
        ],
      }),
    ).clientPath?.(path);

  test.each([
    ["messages[0].parts[1].cache", "messages[0].content[1].cache_control"],
    ["messages[0].parts[2].tool_call.arguments_json", "messages[0].content[2].input"],
    ["messages[0].parts[2].tool_result.content[3].image.detail", "messages[0].content[2].content[3].source"],
    ["messages[0].parts[2].transformations", "messages[0].content[2].transformations"],
    ["messages[0].parts[0].mime_type", "messages[0].content[0].source.media_type"],
    ["messages[0].x_new", "messages[0].x_new"],
    ["messages[1].parts[0]", "messages[1].content"],
    ["messages", "messages"],
    ["tools[1].function.parameters_json", "tools[1].input_schema"],
    ["tools[1].function", "tools[1]"],
    ["tools[1].hosted", "tools[1]"],
    ["tools[1].cache", "tools[1].cache_control"],
    ["tools[1].defer_loading", "tools[1].defer_loading"],
    ["tool_choice.mode", "tool_choice.type"],
    ["tool_choice.parallel", "tool_choice.disable_parallel_tool_use"],
    ["sampling.max_output_tokens", "max_tokens"],
    ["sampling.stop[1]", "stop_sequences[1]"],
    ["sampling.top_k", "top_k"],
    ["reasoning.effort", "output_config.effort"],
    ["reasoning.budget_tokens", "thinking.budget_tokens"],
    ["output_format.schema_json", "output_config.format.schema"],
    ["cache.ttl_seconds", "cache_control.ttl"],
    ["attribution.end_user_id", "metadata.user_id"],
    ["container", "container"],
    ["betas", "anthropic-beta"],
  ])("%s is %s", (path, expected) => {
    expect(client(undefined, path)).toBe(expected);
  });

  test("the system text stands apart", () => {
    expect(client("be brief", "messages[0].parts[0]")).toBe("system");
    expect(client([{ type: "text", text: "a" }], "messages[0].parts[0].cache")).toBe("system[0].cache_control");
    expect(client("be brief", "messages[0]")).toBe("system");
    expect(client("be brief", "messages[1].x_new")).toBe("messages[0].x_new");
    expect(client("be brief", "messages[1].parts[4]")).toBe("messages[0].content[4]");
    expect(client("be brief", "messages[2].parts[0].text")).toBe("messages[1].content");
  });

  test("a path in the client's words stays as it is", () => {
    for (const path of ["messages[0].content[1].source.data", "system[0].text", "tools[0].name", "metadata.user_id", "max_tokens"])
      expect(dialect.clientPath(path)).toBe(path);
  });
});
