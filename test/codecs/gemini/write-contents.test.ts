import { describe, expect, test } from "vitest";
import { MediaDetail, Role, ToolKind } from "../../../gen/dragoman/v1/generate_pb.ts";
import { createGeminiCodec } from "../../../src/codecs/gemini/index.ts";
import { Fold } from "../../../src/core/fold.ts";
import { findFaults } from "./validity.ts";
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

const bypass = "skip_thought_signature_validator";
const noBypass = { signatureBypass: false };
const png = new Uint8Array([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 0, 0]);
const media = (kind: string, value: object, more: object = {}) => ({ part: { case: kind, value }, ...more }) as PartInit;
const image = (value: object = {}) => media("image", { source: { case: "data", value: png }, mimeType: "image/png", ...value });
const gemini = (value: string, provider = "google") => ({ signature: { value, format: "gemini", provider } });

describe("roles", () => {
  test("the leading instructions go on top, parts kept apart", () => {
    const { json, notes } = write({ messages: [system("a", "b"), { role: Role.DEVELOPER, parts: [text("c")] } as never, user("hi")] });
    expect(json.systemInstruction).toEqual({ parts: [{ text: "a" }, { text: "b" }, { text: "c" }] });
    expect(json.contents).toEqual([{ role: "user", parts: [{ text: "hi" }] }]);
    expect(notes).toEqual([]);
  });

  test("later instructions stay in place, marked", () => {
    const { json, notes } = write({ messages: [user("hi"), assistant("hello"), system("be brief"), user("go on")] });
    expect(json.systemInstruction).toBeUndefined();
    expect(json.contents[2]).toEqual({ role: "user", parts: [{ text: "<system>\nbe brief\n</system>" }, { text: "go on" }] });
    expect(notes).toEqual(["EMULATED messages[2]"]);
  });

  test("with instructions alone the last speaks for a user", () => {
    const { json, notes } = write({ messages: [system("a"), system("b")] });
    expect(json.systemInstruction).toEqual({ parts: [{ text: "a" }] });
    expect(json.contents).toEqual([{ role: "user", parts: [{ text: "b" }] }]);
    expect(notes).toEqual(["EMULATED messages[1]"]);
  });

  test("neighbours of one role become one content; a leading answer gets a user before it", () => {
    const { json, notes } = write({ messages: [assistant("a"), assistant("b"), user("c"), user("d")] });
    expect(json.contents).toEqual([
      { role: "user", parts: [{ text: "." }] },
      { role: "model", parts: [{ text: "a" }, { text: "b" }] },
      { role: "user", parts: [{ text: "c" }, { text: "d" }] },
    ]);
    expect(notes).toEqual(["EMULATED messages[0]"]);
  });

  test("empty texts and messages are left out; with nothing left the call is refused", () => {
    expect(write({ messages: [user("", "a"), assistant(""), user("b")] }).json.contents).toEqual([
      { role: "user", parts: [{ text: "a" }, { text: "b" }] },
    ]);
    expect(write({ messages: [user("")] }).refused).toEqual(["messages"]);
  });

  test("an answer to be continued is carried, unless the model does not continue one", () => {
    expect(write({ messages: [user("a"), assistant("b")] })).toMatchObject({ refused: [], notes: [] });
    expect(write({ messages: [user("a"), assistant("b")] }, { prefill: false }).refused).toEqual(["messages[1]"]);
  });

  test("calls and reasoning of users, and results of the model, are refused", () => {
    const { refused } = write({ messages: [user("hi", call("a"), reasoning("x")), assistant("a", resultPart("a", "")), user("x")] });
    expect(refused).toEqual(["messages[0].parts[1]", "messages[0].parts[2]", "messages[1].parts[1]"]);
  });

  test("pictures in instructions are refused", () => {
    expect(write({ messages: [system(image()), user("a")] }).refused).toEqual(["messages[0].parts[0]"]);
  });
});

describe("calls and results", () => {
  test("case 28: results come first in one content, in the calls' order, with their calls' names", () => {
    const { json, refused } = write(
      {
        messages: [
          user("hi"),
          assistant("Look.", call("a", "weather", '{"city": "Bern"}'), call("b", "time", "")),
          user("meanwhile"),
          result("b", "noon"),
          result("a", '{"sun": true}'),
        ],
      },
      {},
      noBypass,
    );
    expect(refused).toEqual([]);
    expect(json.contents.slice(1)).toEqual([
      {
        role: "model",
        parts: [
          { text: "Look." },
          { functionCall: { id: "a", name: "weather", args: { city: "Bern" } } },
          { functionCall: { id: "b", name: "time", args: {} } },
        ],
      },
      {
        role: "user",
        parts: [
          { functionResponse: { id: "a", name: "weather", response: { sun: true } } },
          { functionResponse: { id: "b", name: "time", response: { output: "noon" } } },
          { text: "meanwhile" },
        ],
      },
    ]);
    expect(findFaults(json)).toEqual([]);
  });

  test("ids that the gateway made stay here; so do all where the service has none", () => {
    const messages = [user("hi"), assistant(call("dgm_01", "f"), call("call_1", "g")), result("dgm_01", "x"), result("call_1", "y")];
    const idsOf = (parts: Record<string, unknown>[] = []) =>
      parts.map((part) => ((part.functionCall ?? part.functionResponse) as { id?: string }).id);
    const { contents } = write({ messages }).json;
    expect(idsOf(contents[1]?.parts)).toEqual([undefined, "call_1"]);
    expect(idsOf(contents[2]?.parts)).toEqual([undefined, "call_1"]);
    const without = write({ messages }, {}, { toolCallIds: false }).json.contents;
    expect(idsOf(without[1]?.parts)).toEqual([undefined, undefined]);
  });

  test("results without ids answer the calls of their name in order", () => {
    const { json, refused } = write({
      messages: [user("hi"), assistant(call("", "f"), call("", "f")), result("", "1", { name: "f" }), result("", "2", { name: "f" })],
    });
    expect(refused).toEqual([]);
    expect(json.contents[2]?.parts.map(({ functionResponse }) => (functionResponse as { response: unknown }).response)).toEqual([
      { output: "1" },
      { output: "2" },
    ]);
  });

  test("a call without a result, a result without a call and a second result are refused", () => {
    const { refused } = write({
      messages: [user("hi"), assistant(call("a"), call("b")), result("a", "1"), result("a", "2"), result("c", "3"), user("x")],
    });
    expect(refused).toEqual(["messages[3].parts[0]", "messages[4].parts[0]", "messages[1].parts[1]"]);
    expect(write({ messages: [user("hi"), result("a", "1"), assistant(call("a"))] }).refused).toEqual([
      "messages[1].parts[0]",
      "messages[2].parts[0]",
    ]);
  });

  test.each([
    ["text", { toolCallId: "a", content: [text("x"), text("y")] }, { output: "x\ny" }],
    ["an object as text", { toolCallId: "a", content: [text('{"n": 5}')] }, { n: 5 }],
    ["an array as text", { toolCallId: "a", content: [text("[1]")] }, { output: "[1]" }],
    ["nothing", { toolCallId: "a" }, { output: "" }],
    ["an object", { toolCallId: "a", resultJson: '{"b":1}' }, { b: 1 }],
    ["a number", { toolCallId: "a", resultJson: "5" }, { output: 5 }],
    ["an error", { toolCallId: "a", content: [text("no")], isError: true }, { error: "no" }],
    ["an error object", { toolCallId: "a", content: [text('{"code":5}')], isError: true }, { error: { code: 5 } }],
    ["what says error itself", { toolCallId: "a", resultJson: '{"error":"no"}', isError: true }, { error: "no" }],
  ])("a result of %s", (_, value, response) => {
    const messages = [user("hi"), assistant(call("a")), { role: Role.TOOL, parts: [media("toolResult", value)] } as never];
    const [part] = write({ messages }).json.contents[2]?.parts ?? [];
    expect(part?.functionResponse).toEqual({ id: "a", name: "f", response });
  });

  test("big integers of arguments and results are written as they are", () => {
    const big = '{"id": 12345678901234567890, "2": 1, "1": 2}';
    const { body } = write({ messages: [user("hi"), assistant(call("a", "f", big)), result("a", big)] });
    expect(body.split(big)).toHaveLength(3);
  });

  test("pictures in results: inside for models that take them, else after all results", () => {
    const withImage = media("toolResult", { toolCallId: "a", content: [text("see"), image()] });
    const messages = [user("hi"), assistant(call("a"), call("b")), user(withImage, resultPart("b", "x"))];
    const inline = { inlineData: { mimeType: "image/png", data: Buffer.from(png).toString("base64") } };
    const inside = write({ messages }, {}, noBypass);
    expect(inside.json.contents[2]?.parts[0]).toEqual({
      functionResponse: { id: "a", name: "f", response: { output: "see" }, parts: [inline] },
    });
    expect(inside.notes).toEqual([]);
    const after = write({ messages }, { toolResultImages: false }, noBypass);
    expect(after.json.contents[2]?.parts.map((part) => Object.keys(part)[0])).toEqual([
      "functionResponse",
      "functionResponse",
      "inlineData",
    ]);
    expect(after.notes).toEqual(["EMULATED messages[2].parts[0].tool_result.content"]);
  });

  test("arguments that are no object, and calls of free-text tools", () => {
    const custom = call("b", "grep", "", { kind: ToolKind.CUSTOM, inputText: "^a" });
    const { json, notes } = write(
      { messages: [user("hi"), assistant(call("a", "f", "oops"), custom), result("a", ""), result("b", "")] },
      {},
      noBypass,
    );
    expect(json.contents[1]?.parts.map(({ functionCall }) => (functionCall as { args: unknown }).args)).toEqual([
      { _raw: "oops" },
      { input: "^a" },
    ]);
    expect(notes).toEqual(["EMULATED messages[1].parts[0].arguments_json", "EMULATED messages[1].parts[1]"]);
  });
});

describe("signatures", () => {
  test("go back on the very part they came with, if this provider gave them or nobody knows who did", () => {
    const signedCall = { ...(call("a") as object), ...gemini("S1") } as PartInit;
    const { json, notes } = write({
      messages: [user("hi"), assistant(text("t", gemini("S0", "")), signedCall, call("b")), result("a", "1"), result("b", "2")],
    });
    expect(json.contents[1]?.parts.map(({ thoughtSignature }) => thoughtSignature)).toEqual(["S0", "S1", undefined]);
    expect(notes).toEqual([]);
  });

  test("case 24: of another provider or family are dropped, and the reasoning with them", () => {
    const { json, notes } = write({
      messages: [
        user("hi"),
        assistant(
          reasoning("thought", { value: "x", format: "anthropic", provider: "anthropic" }),
          reasoning("more", { value: "x", format: "gemini", provider: "vertex" }),
          media("reasoning", { text: "unsigned" }),
          text("t", { signature: { value: "y", format: "openai", provider: "" } }),
        ),
        user("go on"),
      ],
    });
    expect(json.contents[1]?.parts).toEqual([{ text: "t" }]);
    expect(notes).toEqual([
      "DROPPED messages[1].parts[0]",
      "DROPPED messages[1].parts[1]",
      "DROPPED messages[1].parts[2]",
      "DROPPED messages[1].parts[3].signature",
    ]);
  });

  test("of reasoning whose issuer no client could say hang on the next call or text", () => {
    const unknown = { value: "S", format: "gemini", provider: "" };
    const partsOf = (...parts: PartInit[]) => write({ messages: [user("hi"), assistant(...parts), user("x")] }).json.contents[1]?.parts;
    expect(partsOf(reasoning("why", unknown), text("t"))).toEqual([
      { text: "why", thought: true },
      { text: "t", thoughtSignature: "S" },
    ]);
    expect(partsOf(reasoning("", unknown), text("t"))).toEqual([{ text: "t", thoughtSignature: "S" }]);
    expect(partsOf(text("t"), reasoning("", unknown))).toEqual([{ text: "t" }, { text: "", thoughtSignature: "S" }]);
    expect(partsOf(reasoning("", unknown), text("t", gemini("own")))).toEqual([
      { text: "", thoughtSignature: "S" },
      { text: "t", thoughtSignature: "own" },
    ]);
  });

  test("missing from the current turn's first call: the documented value, for models that insist", () => {
    const messages = [
      user("old"),
      assistant(call("o")),
      result("o", ""),
      assistant("done"),
      user("new"),
      assistant(call("a"), call("b")),
      result("a", ""),
      result("b", ""),
      assistant(call("c")),
      result("c", ""),
    ];
    const signaturesOf = (contents: { parts: Record<string, unknown>[] }[]) =>
      contents.flatMap(({ parts }) => parts.filter((part) => "functionCall" in part).map((part) => part.thoughtSignature));
    const written = write({ messages });
    expect(signaturesOf(written.json.contents)).toEqual([undefined, bypass, undefined, bypass]);
    expect(written.notes).toEqual(["EMULATED messages[5].parts[0].signature", "EMULATED messages[8].parts[0].signature"]);
    for (const { json, notes } of [write({ messages }, {}, noBypass), write({ messages }, { reasoning: "budget" })]) {
      expect(signaturesOf(json.contents)).toEqual([undefined, undefined, undefined, undefined]);
      expect(notes).toEqual([]);
    }
  });
});

describe("an answer sent back", () => {
  test.each([
    [
      { text: "Thinking.", thought: true },
      { functionCall: { name: "f", args: { a: 1 } }, thoughtSignature: "S1" },
      { functionCall: { id: "c2", name: "g", args: {} } },
    ],
    [{ text: "a", thought: true, thoughtSignature: "S" }, { text: "b" }],
    [{ text: "", thought: true, thoughtSignature: "S" }, { text: "b", thoughtSignature: "S2" }, { text: "c" }],
    [{ text: "a" }, { text: "", thoughtSignature: "S" }],
    [
      { executableCode: { language: "PYTHON", code: "1" }, thoughtSignature: "S" },
      { codeExecutionResult: { outcome: "OUTCOME_OK", output: "1" } },
      { text: "b", partMetadata: { x: [1] } },
    ],
    [
      { inlineData: { mimeType: "image/png", data: Buffer.from(png).toString("base64"), displayName: "d" }, thoughtSignature: "S" },
      { text: "a" },
    ],
    [{ toolCall: { id: "t", toolType: "GOOGLE_SEARCH_WEB" } }, { toolResponse: { id: "t", response: {} } }, { text: "a" }],
  ])("has the very parts that came: %j", (...parts) => {
    const codec = createGeminiCodec(noBypass);
    const body = JSON.stringify({ candidates: [{ content: { parts, role: "model" }, finishReason: "STOP" }] });
    const [candidate] = new Fold().addAll(codec.readResponse(body, "google")).response().candidates;
    const answer = candidate?.message;
    if (answer === undefined) throw new Error("no answer was read");
    const results = answer.parts.flatMap(({ part }) => (part.case === "toolCall" ? [result(part.value.id, "ok")] : []));
    const { json, notes, refused } = write({ messages: [user("hi"), answer, ...results, user("go on")] }, {}, noBypass);
    expect(json.contents[1]).toEqual({ role: "model", parts });
    expect([...notes, ...refused]).toEqual([]);
    // At another provider of the same family nothing signed there is sent.
    const message = request({ messages: [user("hi"), answer, ...results, user("go on")] });
    const elsewhere = codec.writeRequest(message, { ...targetWith(), provider: "other" }, { stream: false });
    expect(elsewhere.body).not.toContain("thoughtSignature");
  });
});

describe("other parts", () => {
  const one = (part: PartInit, traits = {}) => {
    const { json, notes, refused } = write({ messages: [user(part, "x")] }, traits);
    return { part: json.contents[0]?.parts[0], notes, refused };
  };

  test("blocks of other formats are left out, refusals become text", () => {
    const { json, notes } = write({
      messages: [user("hi"), assistant(opaque("server_tool_use", {}, "anthropic-messages"), media("refusal", "No." as never)), user("x")],
    });
    expect(json.contents[1]?.parts).toEqual([{ text: "No." }]);
    expect(notes).toEqual(["DROPPED messages[1].parts[0]", "EMULATED messages[1].parts[1]"]);
  });

  test("data of any kind is inlined, with the type that its bytes say", () => {
    const data = Buffer.from(png).toString("base64");
    expect(one(image())).toEqual({ part: { inlineData: { mimeType: "image/png", data } }, notes: [], refused: [] });
    for (const mimeType of ["", "png", "image/jpeg"]) {
      expect(one(image({ mimeType }))).toMatchObject({
        part: { inlineData: { mimeType: "image/png" } },
        notes: ["COERCED messages[0].parts[0].image.mime_type"],
      });
    }
    const sound = media("audio", { source: { case: "data", value: new Uint8Array([1, 2]) }, mimeType: "audio/L16;rate=24000" });
    expect(one(sound).part).toEqual({ inlineData: { mimeType: "audio/L16;rate=24000", data: "AQI=" } });
    const unknown = media("file", { source: { case: "data", value: new Uint8Array([1]) } });
    expect(one(unknown).refused).toEqual(["messages[0].parts[0].file.mime_type"]);
  });

  test("addresses and stored files", () => {
    const at = (url: string, more: object = {}) => media("image", { source: { case: "url", value: url }, ...more });
    expect(one(at("gs://b/a.png", { mimeType: "image/png" }), { imageUrls: false })).toEqual({
      part: { fileData: { mimeType: "image/png", fileUri: "gs://b/a.png" } },
      notes: [],
      refused: [],
    });
    expect(one(at("https://example.com/a.JPG?x=1"))).toEqual({
      part: { fileData: { mimeType: "image/jpeg", fileUri: "https://example.com/a.JPG?x=1" } },
      notes: ["DEFAULTED messages[0].parts[0].image.mime_type"],
      refused: [],
    });
    expect(one(at("https://youtu.be/abc")).part).toEqual({ fileData: { fileUri: "https://youtu.be/abc" } });
    expect(one(at("https://example.com/a.png"), { imageUrls: false }).refused).toEqual(["messages[0].parts[0].image"]);
    expect(one(at("s3://b/a.png")).refused).toEqual(["messages[0].parts[0].image"]);
    const stored = (provider: string) =>
      media("file", { source: { case: "providerFile", value: { id: "files/x1", provider } }, mimeType: "application/pdf" });
    expect(one(stored("google")).part).toEqual({
      fileData: { mimeType: "application/pdf", fileUri: "https://generativelanguage.googleapis.com/v1beta/files/x1" },
    });
    expect(one(stored("openai")).refused).toEqual(["messages[0].parts[0].file"]);
  });

  test("detail, stretch and names of media", () => {
    expect(one(image({ detail: MediaDetail.HIGH })).part).toMatchObject({ mediaResolution: { level: "MEDIA_RESOLUTION_HIGH" } });
    expect(one(image({ detail: MediaDetail.HIGH }), { mediaResolution: false }).notes).toEqual([
      "DROPPED messages[0].parts[0].image.detail",
    ]);
    const clip = media("video", {
      source: { case: "url", value: "gs://b/v" },
      mimeType: "video/mp4",
      startMs: 1500,
      endMs: 4000,
      framesPerSecond: 2,
    });
    expect(one(clip).part).toEqual({
      fileData: { mimeType: "video/mp4", fileUri: "gs://b/v" },
      videoMetadata: { startOffset: "1.5s", endOffset: "4s", fps: 2 },
    });
    expect(one(image({ filename: "a.png" })).notes).toEqual(["DROPPED messages[0].parts[0].image.filename"]);
    expect(one(image(), { vision: false }).refused).toEqual(["messages[0].parts[0]"]);
  });
});
