import { describe, expect, test } from "vitest";
import { ServiceTier } from "../../../gen/dragoman/v1/call_pb.ts";
import { OutputKind, ReasoningEffort, ReasoningMode, ToolChoiceMode } from "../../../gen/dragoman/v1/generate_pb.ts";
import { claudeQuirks, createBedrockConverseCodec } from "../../../src/codecs/bedrock-converse/index.ts";
import { problemsOf } from "./validity.ts";
import {
  assistant,
  call,
  opaque,
  type PartInit,
  reasoning,
  request,
  result,
  resultPart,
  system,
  targetWith,
  text,
  user,
  write,
} from "./written.ts";

const tool = (name: string, more: object = {}) => ({ tool: { case: "function", value: { name } }, ...more }) as const;
const marked = { cache: {} };
const png = new Uint8Array([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);

function media(kind: "image" | "audio" | "video" | "file", value: object, more: object = {}): PartInit {
  return { part: { case: kind, value }, ...more } as PartInit;
}

function data(bytes: Uint8Array, more: object = {}): object {
  return { source: { case: "data", value: bytes }, ...more };
}

describe("envelope", () => {
  test("the smallest request", () => {
    const written = write({});
    expect(written.path).toBe("/model/anthropic.claude-x/converse");
    expect(written.body).toBe('{"messages":[{"role":"user","content":[{"text":"hi"}]}]}');
    expect(written.notes).toEqual([]);
    expect(write({}, {}, {}, true).path).toBe("/model/anthropic.claude-x/converse-stream");
  });

  test("an ARN is one segment of the path", () => {
    const model = "arn:aws:bedrock:eu-central-1:1:inference-profile/eu.anthropic.claude-v1:0";
    const { path } = createBedrockConverseCodec().writeRequest(
      request({ messages: [user("a")] }),
      { ...targetWith(), model },
      { stream: false },
    );
    expect(path).toBe(`/model/${encodeURIComponent(model)}/converse`);
  });

  test("sampling in its place, and the rest reported", () => {
    const sampling = { temperature: 1.5, topP: 0.5, topK: 7, maxOutputTokens: 9, stop: ["END", "\n"], seed: 1n };
    const { json, notes } = write({ sampling });
    expect(json.inferenceConfig).toEqual({ maxTokens: 9, temperature: 1, topP: 0.5, stopSequences: ["END"] });
    expect(json.additionalModelRequestFields).toEqual({ top_k: 7 });
    expect(notes).toEqual(["DROPPED sampling.seed", "DROPPED sampling.stop[1]", "COERCED sampling.temperature"]);
  });

  test("top_k where the model has it", () => {
    const nova = { model: () => ({ ...claudeQuirks, topK: ["inferenceConfig", "topK"] }) };
    expect(write({ sampling: { topK: 7 } }, {}, nova).json.additionalModelRequestFields).toEqual({ inferenceConfig: { topK: 7 } });
    const none = { model: () => ({ ...claudeQuirks, topK: undefined }) };
    expect(write({ sampling: { topK: 7 } }, {}, none).notes).toEqual(["DROPPED sampling.top_k"]);
  });

  test.each([
    [ServiceTier.STANDARD, { serviceTier: { type: "default" } }],
    [ServiceTier.FLEX, { serviceTier: { type: "flex" } }],
    [ServiceTier.RESERVED, { serviceTier: { type: "reserved" } }],
    [ServiceTier.FAST, { performanceConfig: { latency: "optimized" } }],
  ])("tier %i", (serviceTier, members) => {
    expect(write({ serviceTier }).json).toMatchObject(members);
  });

  test("labels that are legal, and fields of its own", () => {
    const extrasJson = { "bedrock-converse": '{"guardrailConfig":{"guardrailIdentifier":"g"},"additionalModelRequestFields":{"x":1}}' };
    const { json, notes } = write({ metadata: { team: "a b", "bad!": "x" }, extrasJson, sampling: { topK: 2 } });
    expect(json).toMatchObject({
      requestMetadata: { team: "a b" },
      guardrailConfig: { guardrailIdentifier: "g" },
      additionalModelRequestFields: { top_k: 2, x: 1 },
    });
    expect(notes).toEqual(["DROPPED metadata"]);
    expect(write({ extrasJson: { "openai-chat": '{"prediction":{}}' } }).notes).toEqual(["DROPPED prediction"]);
  });

  test("what has no meaning here is refused, whatever the mode", () => {
    const init = { serverState: { previousId: "r" }, cache: { contentId: "c" }, sampling: { candidateCount: 2 } };
    expect(write(init).refused).toEqual(["sampling.candidate_count", "cache.content_id", "server_state.previous_id"]);
  });
});

describe("messages", () => {
  test("case 28: two tools' results are one user message, in the calls' order, before what else was said", () => {
    const { json, refused } = write({
      messages: [user("q"), assistant(call("a"), call("b")), result("b", "2"), user("and?"), result("a", "1")],
      tools: [tool("f")],
    });
    expect(refused).toEqual([]);
    expect(json.messages[2]).toEqual({
      role: "user",
      content: [
        { toolResult: { toolUseId: "a", content: [{ text: "1" }] } },
        { toolResult: { toolUseId: "b", content: [{ text: "2" }] } },
        { text: "and?" },
      ],
    });
  });

  test("calls and results without each other are refused", () => {
    expect(write({ messages: [user("q"), assistant(call("a")), user("no")], tools: [tool("f")] }).refused).toEqual([
      "messages[1].parts[0]",
    ]);
    expect(write({ messages: [user("q"), result("a", "1")], tools: [tool("f")] }).refused).toEqual(["messages[1].parts[0]"]);
  });

  test("case 30: blank texts go, and messages that they empty; an assistant does not begin", () => {
    const { json } = write({
      messages: [user(" "), assistant("", call("a")), result("a", ""), assistant("\n"), user("go")],
      tools: [tool("f")],
    });
    expect(json.messages).toEqual([
      { role: "user", content: [{ text: "." }] },
      { role: "assistant", content: [{ toolUse: { toolUseId: "a", name: "f", input: {} } }] },
      { role: "user", content: [{ toolResult: { toolUseId: "a", content: [] } }, { text: "go" }] },
    ]);
  });

  test("case 31: ids become legal, the same on call and result, and do not collide", () => {
    const ids = ["functions.Bash:0", "functions_Bash_0", "x".repeat(65)];
    const { json } = write({
      messages: [user("q"), assistant(...ids.map((id) => call(id))), ...ids.map((id) => result(id, "r"))],
      tools: [tool("f")],
    });
    expect(problemsOf(json)).toEqual([]);
    const sent = (json.messages[1]?.content ?? []).map(({ toolUse }) => (toolUse as { toolUseId: string }).toolUseId);
    expect(new Set(sent).size).toBe(3);
    expect(sent[1]).toBe("functions_Bash_0");
  });

  test("leading instructions are the system text; later ones a marked user turn, or what they are", () => {
    const messages = [system("a"), system("b"), user("q"), system("later"), user("r")];
    expect(write({ messages }).json).toEqual({
      messages: [{ role: "user", content: [{ text: "q" }, { text: "<system>\nlater\n</system>" }, { text: "r" }] }],
      system: [{ text: "a" }, { text: "b" }],
    });
    expect(write({ messages }, { midSystem: true }).json.messages.map(({ role }) => role)).toEqual(["user", "system", "user"]);
    expect(write({ messages: [system("only")] }).json.messages).toEqual([{ role: "user", content: [{ text: "only" }] }]);
  });

  test("an answer to be continued, where the model does that", () => {
    expect(write({ messages: [user("q"), assistant("It is ")] }).refused).toEqual(["messages[1]"]);
    const { json, refused } = write({ messages: [user("q"), assistant("It is ")] }, { prefill: true });
    expect(refused).toEqual([]);
    expect(json.messages[1]?.content).toEqual([{ text: "It is" }]);
  });

  test("a failed result says so, by a flag or in words", () => {
    const messages = [user("q"), assistant(call("a")), result("a", "no", { isError: true })];
    const content = (written: ReturnType<typeof write>) => written.json.messages[2]?.content[0]?.toolResult;
    expect(content(write({ messages, tools: [tool("f")] }))).toMatchObject({ status: "error", content: [{ text: "no" }] });
    const plain = write({ messages, tools: [tool("f")] }, {}, { model: () => ({ ...claudeQuirks, resultStatus: false }) });
    expect(content(plain)).toEqual({ toolUseId: "a", content: [{ text: "Error: no" }] });
    expect(plain.notes).toEqual(["EMULATED messages[2].parts[0].tool_result.is_error"]);
  });

  test("a result in JSON is JSON where it is an object", () => {
    const sent = (resultJson: string) =>
      write({ messages: [user("q"), assistant(call("a")), user(resultPart("a", "", { resultJson }))], tools: [tool("f")] }).json.messages[2]
        ?.content[0]?.toolResult;
    expect(sent('{"a":12345678901234567890}')).toMatchObject({ content: [{ json: {} }] });
    expect(sent("[1]")).toMatchObject({ content: [{ text: "[1]" }] });
  });

  test("blocks of other formats are left out, its own kept", () => {
    const messages = [
      user("q", opaque("searchResult", { searchResult: { title: "t" } })),
      assistant("a", opaque("x", { y: 1 }, "gemini")),
      user("z"),
    ];
    const { json, notes } = write({ messages });
    expect(json.messages[0]?.content).toEqual([{ text: "q" }, { searchResult: { title: "t" } }]);
    expect(notes).toEqual(["DROPPED messages[1].parts[1]"]);
  });
});

describe("media", () => {
  test("images by what they are", () => {
    const { json, notes } = write({ messages: [user("q", media("image", data(png, { mimeType: "image/jpg" })))] });
    expect(json.messages[0]?.content[1]).toEqual({ image: { format: "png", source: { bytes: Buffer.from(png).toString("base64") } } });
    expect(notes).toEqual(["COERCED messages[0].parts[1].image.mime_type"]);
    const jpg = write({ messages: [user(media("image", data(new Uint8Array([1]), { mimeType: "image/jpg" })))] });
    expect(jpg.json.messages[0]?.content).toEqual([{ image: { format: "jpeg", source: { bytes: "AQ==" } } }]);
  });

  test("addresses in S3 alone", () => {
    const at = (url: string) => write({ messages: [user(media("image", { source: { case: "url", value: url }, mimeType: "image/png" }))] });
    expect(at("s3://b/i.png").json.messages[0]?.content).toEqual([
      { image: { format: "png", source: { s3Location: { uri: "s3://b/i.png" } } } },
    ]);
    expect(at("https://example.com/i.png").refused).toEqual(["messages[0].parts[0].image", "messages"]);
    const { takesUrl } = createBedrockConverseCodec();
    expect([takesUrl?.("s3://b/i.png", "image", targetWith()), takesUrl?.("https://e.com/i", "image", targetWith())]).toEqual([
      true,
      false,
    ]);
  });

  test("case 39: documents have legal names, each once, and a text beside them", () => {
    const paper = (filename: string) => media("file", data(Buffer.from("x"), { mimeType: "text/plain", filename }));
    const { json, notes, refused } = write({
      messages: [user(paper("Jahresbericht 2024_v1.2.txt"), paper("a.pdf"), paper("a.txt"), paper("東京.txt"), paper(""))],
    });
    expect(refused).toEqual([]);
    expect(problemsOf(json)).toEqual([]);
    const names = (json.messages[0]?.content ?? []).flatMap(({ document }) =>
      document === undefined ? [] : [(document as { name: string }).name],
    );
    expect(names).toEqual(["Jahresbericht 2024 v1 2", "a", "a (2)", "document-4", "document-5"]);
    expect(json.messages[0]?.content.at(-1)).toEqual({ text: "." });
    expect(notes.filter((note) => note.startsWith("COERCED"))).toHaveLength(4);
    expect(notes).toContain("DEFAULTED messages[0].parts[4].file.filename");
    expect(notes).toContain("EMULATED messages[0].parts[0]");
  });

  test("sound and moving pictures", () => {
    const parts = [
      media("audio", data(new Uint8Array([1]), { mimeType: "audio/mpeg" })),
      media("video", data(new Uint8Array([2]), { mimeType: "video/3gpp" })),
    ];
    expect(write({ messages: [user(...parts)] }).json.messages[0]?.content).toEqual([
      { audio: { format: "mp3", source: { bytes: "AQ==" } } },
      { video: { format: "three_gp", source: { bytes: "Ag==" } } },
    ]);
    expect(write({ messages: [user("q", media("audio", data(new Uint8Array([1]), { mimeType: "audio/odd" })))] }).refused).toEqual([
      "messages[0].parts[1].audio",
    ]);
  });

  test("of an assistant moves to the user", () => {
    const { json } = write({ messages: [user("q"), assistant("here", media("image", data(png))), user("and?")] });
    expect(json.messages.map(({ content }) => content.map((block) => Object.keys(block)[0]))).toEqual([
      ["text"],
      ["text"],
      ["image", "text"],
    ]);
  });
});

describe("tools", () => {
  const history = [user("q"), assistant(call("a", "shell.run")), result("a", "1"), user("so?")];

  test("case 29: that the history calls are defined where none are", () => {
    const { json, notes } = write({ messages: history });
    expect(json.toolConfig?.tools).toHaveLength(1);
    expect(json.toolConfig).not.toHaveProperty("toolChoice");
    expect(problemsOf(json)).toEqual([]);
    expect(notes).toEqual(["EMULATED tools"]);
  });

  test("case 29: not to be called: left out, or where the history calls them an instruction", () => {
    const toolChoice = { mode: ToolChoiceMode.NONE };
    expect(write({ tools: [tool("f")], toolChoice }).json.toolConfig).toBeUndefined();
    for (const tools of [[], [tool("shell.run")]]) {
      const { json, notes } = write({ messages: history, tools, toolChoice });
      expect(json.toolConfig?.tools).toHaveLength(1);
      expect(json.toolConfig).not.toHaveProperty("toolChoice");
      expect(json.system).toEqual([{ text: "Do not call any tool. Answer in text." }]);
      expect(notes).toContain("EMULATED tool_choice.mode");
    }
  });

  test.each([
    [{ mode: ToolChoiceMode.AUTO }, { auto: {} }],
    [{ mode: ToolChoiceMode.REQUIRED }, { any: {} }],
    [{ mode: ToolChoiceMode.TOOL, toolName: "f" }, { tool: { name: "f" } }],
  ])("choice %j", (toolChoice, sent) => {
    expect(write({ tools: [tool("f")], toolChoice }).json.toolConfig?.toolChoice).toEqual(sent);
  });

  test("one call at a time, in the model's own field", () => {
    const toolChoice = { mode: ToolChoiceMode.REQUIRED, parallel: false };
    expect(write({ tools: [tool("f")], toolChoice }).json.additionalModelRequestFields).toEqual({
      tool_choice: { type: "any", disable_parallel_tool_use: true },
    });
    const plain = { model: () => ({ ...claudeQuirks, singleCalls: false, forcedChoices: [] }) };
    expect(write({ tools: [tool("f")], toolChoice }, {}, plain).notes).toEqual([
      "COERCED tool_choice.mode",
      "DROPPED tool_choice.parallel",
    ]);
  });

  test("JSON by a schema: as text inside the request, a tool, or an instruction", () => {
    const outputFormat = {
      kind: OutputKind.JSON_SCHEMA,
      name: "n",
      schemaJson: '{"type":"object","properties":{"a":{"type":"integer","minimum":1}},"additionalProperties":false}',
    };
    const { json, notes } = write({ outputFormat });
    const { schema, name } = (json.outputConfig as { textFormat: { structure: { jsonSchema: { schema: string; name: string } } } })
      .textFormat.structure.jsonSchema;
    expect(name).toBe("n");
    expect(JSON.parse(schema).properties.a).toEqual({ type: "integer", description: "{minimum: 1}" });
    expect(notes).toEqual(["COERCED output_format.schema_json"]);
    const emulated = write({ outputFormat }, { structuredOutput: false }).json;
    expect(emulated.toolConfig).toMatchObject({ tools: [{ toolSpec: { name: "n" } }], toolChoice: { tool: { name: "n" } } });
    const told = write({ outputFormat, tools: [tool("f")] }, { structuredOutput: false });
    expect(told.json.system?.[0]?.text).toContain('"minimum":1');
  });
});

describe("cache points", () => {
  test("stand after what they end, with a lifetime that is offered; a fifth goes", () => {
    const message = user(text("a", marked), text("b", marked), text("c", { cache: { ttlSeconds: 600 } }));
    const { json, notes } = write({ messages: [system(text("s", marked)), message], tools: [tool("f", marked)] });
    expect(problemsOf(json)).toEqual([]);
    expect(json.messages[0]?.content).toEqual([
      { text: "a" },
      { text: "b" },
      { cachePoint: { type: "default", ttl: "1h" } },
      { text: "c" },
      { cachePoint: { type: "default", ttl: "1h" } },
    ]);
    expect(json.toolConfig?.tools.at(-1)).toEqual({ cachePoint: { type: "default", ttl: "1h" } });
    expect(notes.filter((note) => note.startsWith("DROPPED"))).toEqual(["DROPPED messages[1].parts[0].cache"]);
  });

  test("on empty text move back, on a result follow it, and after nothing are lost", () => {
    const moved = write({ messages: [user("a", text("", marked))] });
    expect(moved.json.messages[0]?.content).toEqual([{ text: "a" }, { cachePoint: { type: "default" } }]);
    const inside = resultPart("x", "", { content: [text("r", marked)] });
    const after = write({ messages: [user("q"), assistant(call("x")), user(inside)], tools: [tool("f")] });
    expect(after.json.messages[2]?.content[1]).toEqual({ cachePoint: { type: "default" } });
    expect(write({ messages: [user(text("", marked), "a")] }).notes).toEqual(["DROPPED messages[0].parts[0].cache"]);
  });

  test("at the end by themselves, and nowhere where the model has no cache", () => {
    expect(write({ cache: { automatic: true } }).json.messages[0]?.content.at(-1)).toEqual({ cachePoint: { type: "default" } });
    const none = { model: () => ({ ...claudeQuirks, cachePoints: false }) };
    expect(write({ messages: [user(text("a", marked))], cache: { automatic: true } }, {}, none).notes).toEqual([
      "DROPPED messages[0].parts[0].cache",
      "DROPPED cache.automatic",
    ]);
  });
});

describe("reasoning", () => {
  const history = (part: PartInit) => write({ messages: [user("q"), assistant(part, "a"), user("r")] });

  test("goes back to who signed it", () => {
    expect(history(reasoning("t")).json.messages[1]?.content[0]).toEqual({
      reasoningContent: { reasoningText: { text: "t", signature: "sig" } },
    });
    const foreign = history(reasoning("t", { value: "sig", format: "gemini", provider: "" }));
    expect(foreign.json.messages[1]?.content).toEqual([{ text: "a" }]);
    expect(foreign.notes).toEqual(["DROPPED messages[1].parts[0]"]);
  });

  test("with a budget, less than the answer's tokens", () => {
    const budget = (budgetTokens: number, maxOutputTokens?: number) =>
      write(
        {
          reasoning: { mode: ReasoningMode.ENABLED, budgetTokens },
          ...(maxOutputTokens === undefined ? {} : { sampling: { maxOutputTokens } }),
        },
        { reasoning: "budget" },
      );
    expect(budget(2000).json.additionalModelRequestFields).toEqual({ thinking: { type: "enabled", budget_tokens: 2000 } });
    expect(budget(8000, 4096).json.additionalModelRequestFields).toEqual({ thinking: { type: "enabled", budget_tokens: 3072 } });
    expect(budget(8000, 1500).notes).toEqual(["COERCED reasoning.budget_tokens"]);
  });

  test("by an effort, each model in its own way", () => {
    const effort = { effort: ReasoningEffort.MAX };
    expect(write({ reasoning: effort }).json.outputConfig).toEqual({ effort: "max" });
    expect(write({ reasoning: effort }, { reasoning: "budget" }).json.additionalModelRequestFields).toEqual({
      thinking: { type: "enabled", budget_tokens: 32_768 },
    });
    const nova = { model: () => ({ ...claudeQuirks, reasoning: "reasoningConfig" as const }) };
    expect(write({ reasoning: effort }, { reasoning: "effort" }, nova).json.additionalModelRequestFields).toEqual({
      reasoningConfig: { type: "enabled", maxReasoningEffort: "high" },
    });
    const oss = { model: () => ({ ...claudeQuirks, reasoning: "reasoning_effort" as const }) };
    expect(write({ reasoning: { effort: ReasoningEffort.LOW } }, { reasoning: "effort" }, oss).json.additionalModelRequestFields).toEqual({
      reasoning_effort: "low",
    });
    expect(write({ reasoning: effort }, { reasoning: "none" }).notes).toEqual(["DROPPED reasoning.effort"]);
  });

  test("gives way to a forced call, and to a history without it", () => {
    const thinking = { mode: ReasoningMode.ENABLED, budgetTokens: 2000 };
    const forced = write({ reasoning: thinking, tools: [tool("f")], toolChoice: { mode: ToolChoiceMode.REQUIRED } });
    expect(forced.json.additionalModelRequestFields).toEqual({ thinking: { type: "disabled" } });
    const results = write({ reasoning: thinking, messages: [user("q"), assistant(call("a")), result("a", "1")], tools: [tool("f")] });
    expect(results.notes).toEqual(["COERCED reasoning.mode"]);
  });
});

describe("counting", () => {
  const counting = createBedrockConverseCodec().counting;

  test("asks for what counts, and reads the count", () => {
    const written = counting?.writeRequest(
      request({ messages: [system("s"), user("q")], tools: [tool("f")], sampling: { temperature: 1 } }),
      targetWith(),
    );
    expect(written?.path).toBe("/model/anthropic.claude-x/count-tokens");
    expect(Object.keys(JSON.parse(written?.body ?? "").input.converse)).toEqual(["messages", "system", "toolConfig"]);
    expect(counting?.readResponse('{"inputTokens":12}', "b")).toMatchObject({ inputTokens: 12 });
    expect(() => counting?.readResponse('{"message":"no"}', "b")).toThrow(/no/);
  });
});
