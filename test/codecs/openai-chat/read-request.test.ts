import { describe, expect, test } from "vitest";
import { Role, ToolChoiceMode, ToolKind } from "../../../gen/dragoman/v1/generate_pb.ts";
import { openAiChatDialect as dialect } from "../../../src/codecs/openai-chat/index.ts";
import { GatewayError } from "../../../src/core/error.ts";
import { type JsonObject, parseJson } from "../../../src/core/json.ts";

const read = (body: object) => dialect.readRequest(parseJson(JSON.stringify(body)));
const ask = (more: object = {}, messages: object[] = [{ role: "user", content: "Hi" }]) => ({ model: "m", messages, ...more });
const parts = (message: object) => read(ask({}, [message])).generate.messages[0]?.parts ?? [];
const png = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

describe("messages", () => {
  test("every role, in the order they came, nothing merged", () => {
    const roles = ["system", "developer", "user", "user", "assistant", "system"];
    const { generate } = read(
      ask(
        {},
        roles.map((role, index) => ({ role, content: `${index}`, name: "n" })),
      ),
    );
    expect(generate.messages.map(({ role }) => role)).toEqual([
      Role.SYSTEM,
      Role.DEVELOPER,
      Role.USER,
      Role.USER,
      Role.ASSISTANT,
      Role.SYSTEM,
    ]);
    expect(generate.messages.map(({ parts }) => parts[0]?.part.value)).toEqual(["0", "1", "2", "3", "4", "5"]);
    expect(generate.messages[0]?.name).toBe("n");
  });

  test("content as string, null, empty string and parts", () => {
    expect(parts({ role: "user", content: "" }).map(({ part }) => part)).toEqual([{ case: "text", value: "" }]);
    expect(parts({ role: "assistant", content: null })).toEqual([]);
    expect(
      parts({
        role: "user",
        content: [
          { type: "text", text: "a" },
          { type: "text", text: "" },
          { type: "refusal", refusal: "r" },
        ],
      }).map(({ part }) => part),
    ).toEqual([
      { case: "text", value: "a" },
      { case: "text", value: "" },
      { case: "refusal", value: "r" },
    ]);
  });

  test("images by address and by data, sound, files", () => {
    const [url, data, audio, file, stored] = parts({
      role: "user",
      content: [
        { type: "image_url", image_url: { url: "https://example.org/a.png", detail: "high" } },
        { type: "image_url", image_url: { url: `data:image/png;base64,${png}` } },
        { type: "input_audio", input_audio: { data: "UklGRgAAAABXQVZF", format: "wav" } },
        { type: "file", file: { file_data: "data:application/pdf;base64,JVBERi0=", filename: "a.pdf" } },
        { type: "file", file: { file_id: "file-1" } },
      ],
    });
    expect(url?.part).toMatchObject({ case: "image", value: { source: { case: "url", value: "https://example.org/a.png" }, detail: 3 } });
    expect(data?.part).toMatchObject({
      case: "image",
      value: { mimeType: "image/png", source: { value: new Uint8Array(Buffer.from(png, "base64")) } },
    });
    expect(audio?.part).toMatchObject({ case: "audio", value: { mimeType: "audio/wav" } });
    expect(file?.part).toMatchObject({ case: "file", value: { filename: "a.pdf", mimeType: "application/pdf" } });
    expect(stored?.part).toMatchObject({ case: "file", value: { source: { case: "providerFile", value: { id: "file-1" } } } });
  });

  test("an assistant turn: reasoning, text, refusal, calls with a Gemini signature, custom calls", () => {
    const made = parts({
      role: "assistant",
      content: "text",
      refusal: "no",
      reasoning_content: "think",
      tool_calls: [
        {
          id: "a",
          type: "function",
          function: { name: "f", arguments: '{"b":1,"a":2}' },
          extra_content: { google: { thought_signature: "sig==" } },
        },
        { id: "b", type: "custom", custom: { name: "c", input: "free" } },
      ],
    });
    expect(made.map(({ part }) => part.case)).toEqual(["reasoning", "text", "refusal", "toolCall", "toolCall"]);
    expect(made[3]).toMatchObject({
      part: { value: { id: "a", name: "f", argumentsJson: '{"b":1,"a":2}' } },
      signature: { value: "sig==", format: "gemini", provider: "" },
    });
    expect(made[4]?.part.value).toMatchObject({ kind: ToolKind.CUSTOM, inputText: "free" });
  });

  test("tool results, and the old function messages", () => {
    const { generate } = read(
      ask({ functions: [{ name: "f", parameters: { type: "object" } }], function_call: { name: "f" } }, [
        { role: "user", content: "Hi" },
        { role: "assistant", content: null, function_call: { name: "f", arguments: "{}" } },
        { role: "function", name: "f", content: "1" },
        { role: "tool", tool_call_id: "x", content: [{ type: "text", text: "2" }] },
      ]),
    );
    const call = generate.messages[1]?.parts[0]?.part.value as { id: string };
    expect(call.id).toMatch(/^dgm_/);
    expect(generate.messages[2]).toMatchObject({ role: Role.TOOL, parts: [{ part: { value: { toolCallId: call.id, name: "f" } } }] });
    expect(generate.messages[3]?.parts[0]?.part.value).toMatchObject({ toolCallId: "x", content: [{ part: { value: "2" } }] });
    expect(generate.toolChoice).toMatchObject({ mode: ToolChoiceMode.TOOL, toolName: "f" });
    expect(generate.tools[0]?.tool.value).toMatchObject({ name: "f", parametersJson: '{"type":"object"}' });
  });

  test("cache markers on part, message, result and tool; null is none", () => {
    const ephemeral = { cache_control: { type: "ephemeral", ttl: "1h" } };
    const { generate } = read(
      ask({ tools: [{ type: "function", function: { name: "f" }, ...ephemeral }], cache_control: { type: "ephemeral" } }, [
        { role: "system", content: "s", ...ephemeral },
        {
          role: "user",
          content: [{ type: "text", text: "t", prompt_cache_breakpoint: { mode: "explicit", ttl: "30m" } }],
          cache_control: null,
        },
        { role: "assistant", content: null, tool_calls: [{ id: "a", type: "function", function: { name: "f", arguments: "" } }] },
        { role: "tool", tool_call_id: "a", content: "r", ...ephemeral },
      ]),
    );
    expect(generate.messages.map(({ parts }) => parts.at(-1)?.cache?.ttlSeconds)).toEqual([3600, 1800, undefined, 3600]);
    expect(generate.tools[0]?.cache?.ttlSeconds).toBe(3600);
    expect(generate.cache).toMatchObject({ automatic: true });
    expect(generate.messages[0]?.extrasJson).toEqual({});
  });
});

describe("top level", () => {
  test("sampling, output, reasoning, account", () => {
    const { generate, stream, includeUsage } = read(
      ask({
        max_tokens: 5,
        max_completion_tokens: 6,
        temperature: 0,
        top_p: 1,
        top_k: 40,
        stop: "x",
        n: 2,
        seed: 7,
        logprobs: true,
        top_logprobs: 20,
        logit_bias: { "50256": -100 },
        frequency_penalty: -2,
        presence_penalty: 2,
        reasoning_effort: "xhigh",
        verbosity: "low",
        modalities: ["text", "audio"],
        audio: { voice: "alloy", format: "wav" },
        response_format: { type: "json_schema", json_schema: { name: "r", strict: true, schema: { z: 1, a: 2 } } },
        user: "u",
        metadata: { a: "b" },
        service_tier: "flex",
        store: true,
        prompt_cache_key: "k",
        parallel_tool_calls: false,
        tool_choice: "required",
        stream: true,
        stream_options: { include_usage: true },
      }),
    );
    expect(generate.sampling).toMatchObject({
      maxOutputTokens: 6,
      temperature: 0,
      topP: 1,
      topK: 40,
      stop: ["x"],
      seed: 7n,
      candidateCount: 2,
      logitBias: { 50256: -100 },
    });
    expect(generate.outputFormat).toMatchObject({
      schemaJson: '{"z":1,"a":2}',
      name: "r",
      strict: true,
      verbosity: 1,
      modalities: [1, 2],
      audio: { voice: "alloy" },
    });
    expect(generate).toMatchObject({
      reasoning: { effort: 6 },
      attribution: { endUserId: "u" },
      metadata: { a: "b" },
      serviceTier: 3,
      serverState: { store: true },
      cache: { key: "k" },
    });
    expect(generate.toolChoice).toMatchObject({ mode: ToolChoiceMode.REQUIRED, parallel: false });
    expect({ stream, includeUsage }).toEqual({ stream: true, includeUsage: true });
    expect(generate.extrasJson).toEqual({});
  });

  test("absent stays absent", () => {
    const { generate, stream, includeUsage } = read(ask());
    expect(generate).toMatchObject({ tools: [], metadata: {}, extrasJson: {}, serviceTier: 0 });
    for (const name of ["sampling", "toolChoice", "outputFormat", "reasoning", "attribution", "cache", "serverState"] as const) {
      expect(generate[name]).toBeUndefined();
    }
    expect({ stream, includeUsage }).toEqual({ stream: undefined, includeUsage: false });
  });

  test("choices among tools", () => {
    const choose = (tool_choice: unknown) => read(ask({ tools: [], tool_choice })).generate.toolChoice;
    expect(choose({ type: "custom", custom: { name: "c" } })).toMatchObject({ mode: ToolChoiceMode.TOOL, toolName: "c" });
    const allowed = {
      mode: "required",
      tools: [
        { type: "function", function: { name: "f" } },
        { type: "custom", custom: { name: "c" } },
      ],
    };
    expect(choose({ type: "allowed_tools", allowed_tools: allowed })).toMatchObject({
      mode: ToolChoiceMode.REQUIRED,
      allowedTools: ["f", "c"],
    });
  });

  test("unknown fields and unknown words survive at their level, big integers and key order too", () => {
    const body = `{"model":"m","min_tokens":12345678901234567890,"reasoning_effort":"ultra","service_tier":"warp","stream_options":{"include_obfuscation":false},
      "prediction":{"type":"content","content":"x"},"tools":[{"type":"function","x":1,"function":{"name":"f","y":2,"parameters":{"b":{"const":9007199254740993},"10":1,"2":1}}},{"type":"builtin","z":1}],
      "messages":[{"role":"user","m":1,"content":[{"type":"text","text":"a","p":null},{"type":"image_url","image_url":{"url":"https://a","q":1}},{"type":"video_url","video_url":{"url":"u"}}]}]}`;
    const { generate } = dialect.readRequest(parseJson(body));
    expect(generate.extrasJson["openai-chat"]).toBe(
      '{"min_tokens":12345678901234567890,"reasoning_effort":"ultra","service_tier":"warp","stream_options":{"include_obfuscation":false},"prediction":{"type":"content","content":"x"}}',
    );
    expect(generate.tools[0]?.extrasJson["openai-chat"]).toBe('{"x":1,"function":{"y":2}}');
    expect(generate.tools[0]?.tool.value).toMatchObject({ parametersJson: '{"b":{"const":9007199254740993},"10":1,"2":1}' });
    expect(generate.tools[1]?.tool).toMatchObject({
      case: "hosted",
      value: { format: "openai-chat", type: "builtin", configJson: '{"type":"builtin","z":1}' },
    });
    const [message] = generate.messages;
    expect(message?.extrasJson["openai-chat"]).toBe('{"m":1}');
    expect(message?.parts.map(({ extrasJson }) => extrasJson["openai-chat"])).toEqual(['{"p":null}', '{"image_url":{"q":1}}', undefined]);
    expect(message?.parts[2]?.part).toMatchObject({ case: "opaque", value: { format: "openai-chat", type: "video_url" } });
  });
});

describe("wrong requests name the field in the client's words", () => {
  const user = (content: unknown) => [{ role: "user", content }] as object[];
  test.each<[string, unknown]>([
    ["body", []],
    ["model", { messages: [{ role: "user", content: "" }] }],
    ["model", { model: "", messages: [{ role: "user", content: "" }] }],
    ["model", { model: 1, messages: [{ role: "user", content: "" }] }],
    ["messages", { model: "m" }],
    ["messages", { model: "m", messages: [] }],
    ["messages", { model: "m", messages: {} }],
    ["messages[0]", { model: "m", messages: ["x"] }],
    ["messages[0].role", { model: "m", messages: [{ content: "x" }] }],
    ["messages[0].role", ask({}, [{ role: "robot", content: "x" }])],
    ["messages[0].content", ask({}, user(1))],
    ["messages[0].content[0].type", ask({}, user([{ text: "x" }]))],
    ["messages[0].content[0].text", ask({}, user([{ type: "text" }]))],
    [
      "messages[0].content[1].image_url.url",
      ask(
        {},
        user([
          { type: "text", text: "" },
          { type: "image_url", image_url: { url: 5 } },
        ]),
      ),
    ],
    ["messages[0].content[0].image_url.url", ask({}, user([{ type: "image_url", image_url: { url: "data:image/png;base64,@@" } }]))],
    ["messages[0].content[0].image_url", ask({}, user([{ type: "image_url" }]))],
    ["messages[0].content[0].input_audio.data", ask({}, user([{ type: "input_audio", input_audio: { data: "a" } }]))],
    ["messages[0].content[0].file.file_data", ask({}, user([{ type: "file", file: {} }]))],
    ["messages[0].tool_call_id", ask({}, [{ role: "tool", content: "x" }])],
    [
      "messages[0].tool_calls[0].function.arguments",
      ask({}, [{ role: "assistant", tool_calls: [{ id: "a", type: "function", function: { name: "f", arguments: {} } }] }]),
    ],
    ["messages[0].tool_calls[0].id", ask({}, [{ role: "assistant", tool_calls: [{ type: "function", function: { name: "f" } }] }])],
    ["top_p", ask({ top_p: 1.5 })],
    ["n", ask({ n: 0 })],
    ["n", ask({ n: 129 })],
    ["top_logprobs", ask({ top_logprobs: 21 })],
    ["temperature", ask({ temperature: "hot" })],
    ["temperature", ask({ temperature: -1 })],
    ["max_tokens", ask({ max_tokens: 1.5 })],
    ["stop", ask({ stop: "" })],
    ["stop[1]", ask({ stop: ["a", ""] })],
    ["stop[0]", ask({ stop: [1] })],
    ["seed", ask({ seed: 1.5 })],
    ["logit_bias.abc", ask({ logit_bias: { abc: 1 } })],
    ["logit_bias.5", ask({ logit_bias: { 5: "x" } })],
    ["metadata.a", ask({ metadata: { a: 1 } })],
    ["user", ask({ user: "a\nb" })],
    ["stream", ask({ stream: "yes" })],
    ["stream_options.include_usage", ask({ stream_options: { include_usage: 1 } })],
    ["reasoning_effort", ask({ reasoning_effort: 3 })],
    ["response_format", ask({ response_format: "json" })],
    ["response_format.json_schema", ask({ response_format: { type: "json_schema" } })],
    ["response_format.json_schema.schema", ask({ response_format: { type: "json_schema", json_schema: { schema: "{}" } } })],
    ["tools", ask({ tools: {} })],
    ["tools[0].function", ask({ tools: [{ type: "function" }] })],
    ["tools[0].function.name", ask({ tools: [{ type: "function", function: { name: "" } }] })],
    ["tools[0].function.parameters", ask({ tools: [{ type: "function", function: { name: "f", parameters: "x" } }] })],
    ["tool_choice", ask({ tool_choice: "maybe" })],
    ["tool_choice.function.name", ask({ tool_choice: { type: "function", function: {} } })],
  ])("%s", (field, body) => {
    let thrown: unknown;
    try {
      dialect.readRequest(body as JsonObject);
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toBeInstanceOf(GatewayError);
    expect(thrown).toMatchObject({ reason: "invalid_request", status: 400, details: { fields: [{ field }] } });
  });
});

test.each([
  ["sampling.max_output_tokens", "max_completion_tokens"],
  ["sampling.top_k", "top_k"],
  ["sampling.candidate_count", "n"],
  ["messages[3].parts[1].image.url", "messages[3].content[1].image_url"],
  ["messages[3].parts[1].image.detail", "messages[3].content[1].image_url.detail"],
  ["messages[3].parts[1]", "messages[3].content[1]"],
  ["messages[0].parts[0].cache", "messages[0].content[0].prompt_cache_breakpoint"],
  ["messages[0].parts[2].tool_call", "messages[0].tool_calls"],
  ["messages[0].parts[0].tool_result.tool_call_id", "messages[0].tool_call_id"],
  ["messages[0].parts[0].tool_result.is_error", "messages[0]"],
  ["messages[0].name", "messages[0].name"],
  ["tool_choice.parallel", "parallel_tool_calls"],
  ["reasoning.effort", "reasoning_effort"],
  ["reasoning.display", "reasoning_effort"],
  ["tools[2].function.parameters_json", "tools[2].function.parameters"],
  ["tools[2].function.strict", "tools[2].function.strict"],
  ["output_format.schema_json", "response_format.json_schema.schema"],
  ["server_state.store", "store"],
  ["cache.key", "prompt_cache_key"],
  ["service_tier", "service_tier"],
  ["metadata", "metadata"],
  ["prediction", "prediction"],
])("clientPath(%s) is %s", (core, chat) => {
  expect(dialect.clientPath(core)).toBe(chat);
});
