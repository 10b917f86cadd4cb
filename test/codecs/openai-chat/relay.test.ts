import { describe, expect, test } from "vitest";
import { createOpenAiChatCodec, type OpenAiChatQuirks, openAiChatDialect } from "../../../src/codecs/openai-chat/index.ts";
import type { AnswerRelay, RelayCodec } from "../../../src/core/dialect.ts";
import { isJsonObject, type JsonObject, parseJson } from "../../../src/core/json.ts";
import { SseReader } from "../../../src/core/sse.ts";
import type { ModelTraits } from "../../../src/core/target.ts";

function relayOf(quirks: OpenAiChatQuirks): RelayCodec {
  const { relay } = createOpenAiChatCodec(quirks);
  if (relay === undefined) throw new Error("the codec does not relay");
  return relay;
}

function patch(
  body: string,
  { quirks = {}, traits = {}, stream = true }: { quirks?: OpenAiChatQuirks; traits?: ModelTraits; stream?: boolean } = {},
) {
  const parsed = parseJson(body);
  if (!isJsonObject(parsed)) throw new Error("no object");
  const before = JSON.stringify(parsed, (_, value) => (typeof value === "bigint" ? String(value) : value));
  const { generate } = openAiChatDialect.readRequest(parsed);
  const wire = { format: "openai-chat", body: parsed, includeUsage: false };
  const target = { id: "p/m", provider: "p", model: "m", traits };
  const patched = relayOf(quirks).patchRequest(generate, wire, target, { stream });
  expect(JSON.stringify(parsed, (_, value) => (typeof value === "bigint" ? String(value) : value))).toBe(before);
  return patched;
}

const hello = '"messages":[{"role":"user","content":"hello"}]';
const asked = (more: string) => `{"model":"x",${hello}${more === "" ? "" : `,${more}`}}`;

describe("patchRequest", () => {
  test("changes model and stream options alone; order, spelling of nested numbers and unknown fields stay", () => {
    const body = `{"x":{"2":1,"1":12345678901234567890},"model":"alias",${hello},"temperature":0.5,"stream_options":{"include_obfuscation":false}}`;
    expect(patch(body)?.body).toBe(
      `{"x":{"2":1,"1":12345678901234567890},"model":"m",${hello},"temperature":0.5,"stream_options":{"include_obfuscation":false,"include_usage":true},"stream":true}`,
    );
    expect(patch(body, { stream: false })?.body).not.toContain("stream_options");
    expect(patch(body, { quirks: { streamOptions: false } })?.body).not.toContain("stream_options");
  });

  test("calls the output's limit what the target calls it", () => {
    expect(patch(asked('"max_tokens":5,"seed":1'))?.body).toContain(`${hello},"max_completion_tokens":5,"seed":1,`);
    expect(patch(asked('"max_completion_tokens":5'), { quirks: { maxTokensField: "max_tokens" } })?.body).toContain('"max_tokens":5');
    expect(patch(asked('"max_tokens":5'), { quirks: { maxTokensField: "max_tokens" } })?.body).toContain('"max_tokens":5');
  });

  test("keeps from the provider who the end user is, and what is for the gateway", () => {
    const body = asked('"user":"u-1","safety_identifier":"s-1","agumbe_metadata":{"operation":"x"}');
    expect(patch(body)?.body).toBe(`{"model":"m",${hello},"stream":true,"stream_options":{"include_usage":true}}`);
    expect(patch(body, { quirks: { sendUser: "user" } })?.body).toContain('"user":"s-1"');
  });

  test.each<[string, string, { quirks?: OpenAiChatQuirks; traits?: ModelTraits }?]>([
    ["a limit by both its names", '"max_tokens":5,"max_completion_tokens":6'],
    ["a refused parameter", '"seed":5', { quirks: { refusedParameters: ["seed"] } }],
    ["sampling the model does not take", '"temperature":1', { traits: { sampling: false } }],
    ["a temperature out of range", '"temperature":1.5', { quirks: { maxTemperature: 1 } }],
    ["too many stop texts", '"stop":["a","b","c","d","e"]'],
    ["a field of other servers", '"top_k":5'],
    ["an effort the model lacks", '"reasoning_effort":"minimal"', { traits: { efforts: ["low", "high"] } }],
    [
      "a schema the server does not follow",
      '"response_format":{"type":"json_schema","json_schema":{"name":"a","schema":{}}}',
      { quirks: { jsonSchema: false } },
    ],
    ["JSON mode that no message names", '"response_format":{"type":"json_object"}'],
    ["a tool name to be changed", '"tools":[{"type":"function","function":{"name":"a.b"}}]'],
    ["a choice without tools", '"tool_choice":"auto"'],
    ["functions of old", '"functions":[{"name":"a"}]'],
    ["a cache marker on a tool", '"tools":[{"type":"function","function":{"name":"a"},"cache_control":{"type":"ephemeral"}}]'],
  ])("leaves %s to the writer", (_, more, options) => {
    expect(patch(asked(more), options)).toBeUndefined();
  });

  test.each<[string, string, { quirks?: OpenAiChatQuirks; traits?: ModelTraits }?]>([
    [
      "a developer message where there is no such role",
      '{"role":"developer","content":"x"},{"role":"user","content":"y"}',
      { quirks: { developerRole: false } },
    ],
    [
      "images by address where they are not taken",
      '{"role":"user","content":[{"type":"image_url","image_url":{"url":"https://a.example/b.png"}}]}',
      { quirks: { imageUrls: false } },
    ],
    [
      "an image of another type than it says",
      '{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:image/jpeg;base64,iVBORw0KGgo="}}]}',
    ],
    ["a cache marker", '{"role":"user","content":[{"type":"text","text":"x","cache_control":{"type":"ephemeral"}}]}'],
    ["text among the parts", '{"role":"user","content":["x"]}'],
    ["reasoning", '{"role":"user","content":"x"},{"role":"assistant","content":"y","reasoning_content":"z"},{"role":"user","content":"w"}'],
    [
      "a signature for another server",
      '{"role":"user","content":"x"},{"role":"assistant","tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":"{}"},"extra_content":{"google":{"thought_signature":"s"}}}]},{"role":"tool","tool_call_id":"c","content":"r"}',
    ],
  ])("leaves %s in a message to the writer", (_, messages, options) => {
    expect(patch(`{"model":"x","messages":[${messages}]}`, options)).toBeUndefined();
  });

  test("a call without its result is refused in the same words", () => {
    const body =
      '{"model":"x","messages":[{"role":"user","content":"x"},{"role":"assistant","tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":"{}"}}]}]}';
    expect(() => patch(body)?.report.settle(false)).toThrow("is a call without a result");
  });
});

/** What a client gets of these records. */
function relayed(
  records: readonly string[],
  { includeUsage = false, quirks = {} }: { includeUsage?: boolean; quirks?: OpenAiChatQuirks } = {},
): string[] {
  const codec = createOpenAiChatCodec(quirks);
  const written = codec.writeRequest(
    openAiChatDialect.readRequest(parseJson(asked(""))).generate,
    { id: "p/m", provider: "p", model: "m", traits: {} },
    { stream: true },
  );
  const relay = codec.relay?.relayAnswer(written, {
    format: "openai-chat",
    body: parseJson("{}") as JsonObject,
    includeUsage,
  }) as AnswerRelay;
  const reader = codec.eventReader("p", written.state);
  const lines = records.map((record) => `${record}\n\n`).join("");
  const got = new SseReader()
    .readRecords(Buffer.from(lines))
    .map((record) => relay.writeRecord(record, record.frame === undefined ? [] : reader.read(record.frame)));
  return [...got, relay.end()].filter((text) => text !== "");
}

const chunk = (choice: string, more = "") => `data: {"id":"chatcmpl-1","choices":[${choice}]${more}}`;
const delta = (members: string) => chunk(`{"index":0,"delta":{${members}},"finish_reason":null}`);
const finish = (word: string, more = "") => chunk(`{"index":0,"delta":{},"finish_reason":"${word}"}`, more);
const usage = ',"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}';
const done = "data: [DONE]";

describe("relayAnswer", () => {
  test("records, comments and unknown fields pass as they are", () => {
    const records = [": keep-alive", delta('"content":"a \\"usage\\":null b","x":{"y":1}'), finish("stop"), done];
    expect(relayed(records)).toEqual(records.map((record) => `${record}\n\n`));
  });

  test("records in another form come in the one that every client reads", () => {
    const odd = 'event: odd\nid: 7\ndata: {"choices":[]}';
    const returns = 'data:{"choices":[]}\r\r';
    expect(relayed([odd, finish("stop"), done])[0]).toBe('data: {"choices":[]}\n\n');
    expect(relayed([returns, finish("stop"), done])[0]).toContain('data: {"choices":[]}\n\n');
  });

  test("case 22: usage that nobody asked for is taken out, wherever the server puts it", () => {
    const got = relayed([chunk('{"index":0,"delta":{"content":"a"}}', ',"usage":null'), finish("stop", usage), chunk("", usage), done]);
    expect(got).toEqual([`${chunk('{"index":0,"delta":{"content":"a"}}')}\n\n`, `${finish("stop")}\n\n`, `${done}\n\n`]);
  });

  test("usage that was asked for stays", () => {
    const records = [chunk('{"index":0,"delta":{"content":"a"}}', ',"usage":null'), finish("stop"), chunk("", usage), done];
    expect(relayed(records, { includeUsage: true })).toEqual(records.map((record) => `${record}\n\n`));
  });

  test("case 22: usage that was asked for and is not said leaves the end to the writer", () => {
    const records = [delta('"content":"a"'), finish("stop"), done];
    expect(relayed(records, { includeUsage: true })).toEqual(records.slice(0, -1).map((record) => `${record}\n\n`));
    expect(relayed(records.slice(0, -1), { includeUsage: true, quirks: { endMarkOptional: true } })).toHaveLength(2);
  });

  test("reasoning comes under the name that clients know", () => {
    expect(relayed([delta('"reasoning":"hm"')])[0]).toContain('"delta":{"reasoning_content":"hm"}');
    const twice = delta('"reasoning":"hm","reasoning_content":"hm"');
    expect(relayed([twice])[0]).toBe(`${twice}\n\n`);
  });

  test("content as a list of parts becomes text and reasoning", () => {
    const got = relayed([delta('"content":[{"type":"thinking","thinking":[{"type":"text","text":"hm"}]},{"type":"text","text":"a"}]')]);
    expect(got[0]).toContain('"delta":{"content":"a","reasoning_content":"hm"}');
  });

  test("parallel calls that all say index 0 are told apart", () => {
    const call = (id: string, name: string) =>
      delta(`"tool_calls":[{"index":0,"id":"${id}","type":"function","function":{"name":"${name}","arguments":"{}"}}]`);
    const [first, second] = relayed([call("a", "f"), call("b", "g")]);
    expect(first).toBe(`${call("a", "f")}\n\n`);
    expect(second).toContain(
      '"tool_calls":[{"index":1,"id":"b","type":"function","function":{"name":"g","arguments":""}},{"index":1,"function":{"arguments":"{}"}}]',
    );
  });

  test("a call without index and id gets both", () => {
    const [got = ""] = relayed([delta('"tool_calls":[{"function":{"name":"f","arguments":"{}"}}]')]);
    const entry = JSON.parse(got.slice(6)).choices[0].delta.tool_calls[0];
    expect(entry).toMatchObject({ index: 0, type: "function", function: { name: "f" } });
    expect(entry.id).not.toBe("");
  });

  test("stop after calls is tool_calls, and a server's own word is the neutral one", () => {
    const call = delta('"tool_calls":[{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":"{}"}}]');
    expect(relayed([call, finish("stop")])[1]).toContain('"finish_reason":"tool_calls"');
    expect(relayed([delta('"content":"a"'), finish("eos")])[1]).toContain('"finish_reason":"stop"');
  });

  test("a server that sends no end mark is given one", () => {
    expect(relayed([delta('"content":"a"'), finish("stop")], { quirks: { endMarkOptional: true } }).at(-1)).toBe(`${done}\n\n`);
  });

  test.each<[string, OpenAiChatQuirks, boolean]>([
    ["counts that leave reasoning out", { reasoningOutsideCompletion: true }, false],
    ["usage that was asked for and cannot be had", { streamOptions: false }, true],
  ])("%s are written from events", (_, quirks, includeUsage) => {
    const written = {
      path: "",
      headers: {},
      body: "",
      report: createOpenAiChatCodec().writeRequest(
        openAiChatDialect.readRequest(parseJson(asked(""))).generate,
        { id: "p/m", provider: "p", model: "m", traits: {} },
        { stream: true },
      ).report,
    };
    expect(relayOf(quirks).relayAnswer(written, { format: "openai-chat", body: {}, includeUsage })).toBeUndefined();
  });
});
