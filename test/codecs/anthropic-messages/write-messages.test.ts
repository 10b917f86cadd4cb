import { describe, expect, test } from "vitest";
import { Role } from "../../../gen/dragoman/v1/generate_pb.ts";
import { problemsOf } from "./validity.ts";
import { assistant, call, opaque, type PartInit, reasoning, result, resultPart, system, text, user, write } from "./written.ts";

const png = Uint8Array.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 1, 2, 3]);
const pdf = Buffer.from("%PDF-1.7 x");

function media(kind: "image" | "file" | "audio" | "video", value: object): PartInit {
  return { part: { case: kind, value } } as PartInit;
}

describe("instructions", () => {
  test("the leading run becomes the system field, parts kept apart", () => {
    const { json, notes } = write({ messages: [system("a", "b"), { role: Role.DEVELOPER, parts: [text("c")] }, user("hi")] });
    expect(json.system).toEqual(["a", "b", "c"].map((value) => ({ type: "text", text: value })));
    expect(json.messages).toEqual([{ role: "user", content: [{ type: "text", text: "hi" }] }]);
    expect(notes).toEqual(["DEFAULTED sampling.max_output_tokens"]);
  });

  test("later ones stay in place, as marked user turns", () => {
    const { json, notes } = write({ messages: [user("hi"), assistant("yes?"), system("be short"), user("go")] });
    expect(json.system).toBeUndefined();
    expect(json.messages.at(-1)?.content).toEqual([
      { type: "text", text: "<system>\nbe short\n</system>" },
      { type: "text", text: "go" },
    ]);
    expect(notes).toContain("EMULATED messages[2]");
  });

  test("later ones are carried to a model that takes them, behind the results they must not precede", () => {
    const messages = [user("hi"), assistant(call("c")), system("be short"), result("c", "ok"), user("go")];
    const { json, notes } = write({ messages }, { midSystem: true });
    expect(json.messages.map(({ role }) => role)).toEqual(["user", "assistant", "user", "system", "user"]);
    expect(json.messages[2]?.content[0]).toMatchObject({ type: "tool_result", tool_use_id: "c" });
    expect(notes).not.toContain("EMULATED messages[2]");
  });

  test("instructions alone: the last one speaks as the user", () => {
    const { json, notes } = write({ messages: [system("be kind"), system("say hello")] });
    expect(json.system).toEqual([{ type: "text", text: "be kind" }]);
    expect(json.messages).toEqual([{ role: "user", content: [{ type: "text", text: "say hello" }] }]);
    expect(notes).toContain("EMULATED messages[1]");
  });

  test("hold text alone", () => {
    expect(write({ messages: [system(media("image", { source: { case: "data", value: png } })), user("x")] }).refused).toEqual([
      "messages[0].parts[0]",
    ]);
  });
});

describe("turns", () => {
  test("neighbours of one role become one message, their texts kept apart", () => {
    const { json } = write({ messages: [user("a"), user("b"), assistant("c"), assistant("d"), user("e")] });
    expect(json.messages.map(({ role, content }) => [role, content.map((block) => block.text)])).toEqual([
      ["user", ["a", "b"]],
      ["assistant", ["c", "d"]],
      ["user", ["e"]],
    ]);
  });

  test("a user speaks first", () => {
    const { json, notes } = write({ messages: [assistant("Welcome!"), user("hi")] });
    expect(json.messages[0]).toEqual({ role: "user", content: [{ type: "text", text: "." }] });
    expect(notes).toContain("EMULATED messages[0]");
  });

  test("case 30: empty and blank texts, and messages they empty, are left out without a note", () => {
    const { json, notes } = write({
      messages: [user("hi", "", " \n"), assistant("", call("c")), result("c", ""), assistant(" "), user("go"), assistant(), user("on")],
    });
    expect(json.messages.map(({ content }) => content.map(({ type }) => type))).toEqual([
      ["text"],
      ["tool_use"],
      ["tool_result", "text", "text"],
    ]);
    expect(json.messages[2]?.content[0]).toEqual({ type: "tool_result", tool_use_id: "c" });
    expect(notes).toEqual(["DEFAULTED sampling.max_output_tokens"]);
  });

  test("nothing but blanks is refused", () => {
    expect(write({ messages: [user(" ")] }).refused).toEqual(["messages"]);
  });

  test("case 38: an assistant's last message is refused, or continued where the model can", () => {
    const messages = [user("Name a god."), assistant("The god is ")];
    expect(write({ messages }).refused).toEqual(["messages[1]"]);
    const { json, refused, notes } = write({ messages }, { prefill: true });
    expect(refused).toEqual([]);
    expect(json.messages[1]?.content).toEqual([{ type: "text", text: "The god is" }]);
    expect(notes).toContain("COERCED messages[1].parts[0]");
  });

  test("a turn that the provider paused goes back as it is", () => {
    const use = { type: "server_tool_use", id: "srv_1", name: "web_search", input: { query: "q" } };
    const { json, refused } = write({ messages: [user("search"), assistant("Searching.", opaque("server_tool_use", use))] });
    expect(refused).toEqual([]);
    expect(json.messages[1]?.content[1]).toEqual(use);
  });

  test("names are dropped, refusals become text", () => {
    const { json, notes } = write({
      messages: [{ ...user("hi"), name: "ann" }, assistant({ part: { case: "refusal", value: "I will not." } } as PartInit), user("ok")],
    });
    expect(json.messages[1]?.content).toEqual([{ type: "text", text: "I will not." }]);
    expect(notes).toEqual(["DROPPED messages[0].name", "EMULATED messages[1].parts[0]", "DEFAULTED sampling.max_output_tokens"]);
  });
});

describe("calls and results", () => {
  test("case 28: results of one turn become one user message, first, in the order of the calls", () => {
    const { json } = write({
      messages: [user("both"), assistant("ok", call("a"), call("b")), user("wait"), result("b", "2"), result("a", "1"), user("now")],
    });
    expect(json.messages[2]).toEqual({
      role: "user",
      content: [
        { type: "tool_result", tool_use_id: "a", content: [{ type: "text", text: "1" }] },
        { type: "tool_result", tool_use_id: "b", content: [{ type: "text", text: "2" }] },
        { type: "text", text: "wait" },
        { type: "text", text: "now" },
      ],
    });
  });

  test("calls that were sent in several messages are answered together", () => {
    const { json, refused } = write({
      messages: [user("x"), assistant(call("a")), assistant(call("b")), result("a", "1"), result("b", "2")],
    });
    expect(refused).toEqual([]);
    expect(json.messages.map(({ content }) => content.length)).toEqual([1, 2, 2]);
  });

  test.each([
    ["a call without a result", [user("x"), assistant("y", call("a")), user("z")], "messages[1].parts[1]"],
    ["a call at the end", [user("x"), assistant(call("a"))], "messages[1].parts[0]"],
    ["a result without a call", [user("x"), result("a", "1")], "messages[1].parts[0]"],
    [
      "a result that comes late",
      [user("x"), assistant(call("a")), result("a", "1"), assistant("y"), result("a", "1")],
      "messages[4].parts[0]",
    ],
    ["a second result", [user("x"), assistant(call("a")), result("a", "1"), result("a", "2")], "messages[3].parts[0]"],
    ["a second call of one id", [user("x"), assistant(call("a"), call("a")), result("a", "1")], "messages[1].parts[1]"],
    ["a user's call", [user("x", call("a"))], "messages[0].parts[1]"],
    ["an assistant's result", [user("x"), assistant("y", resultPart("a", "1")), user("z")], "messages[1].parts[1]"],
  ])("%s is refused", (_, messages, path) => {
    expect(write({ messages }).refused).toContain(path);
  });

  test("arguments: as the model wrote them, {} where there are none, wrapped where they are no object", () => {
    const { body, json, notes } = write({
      messages: [
        user("x"),
        assistant(
          call("a", "f", '{"big":12345678901234567890,"2":1,"1":2}'),
          call("b", "f", ""),
          call("c", "f", '{"cut'),
          call("d", "f", "[1]"),
        ),
        ...["a", "b", "c", "d"].map((id) => result(id, "ok")),
      ],
    });
    expect(body).toContain('"input":{"big":12345678901234567890,"2":1,"1":2}');
    expect(json.messages[1]?.content.slice(1).map(({ input }) => input)).toEqual([{}, { _raw: '{"cut' }, { _raw: "[1]" }]);
    expect(notes).toEqual([
      "EMULATED messages[1].parts[2].arguments_json",
      "EMULATED messages[1].parts[3].arguments_json",
      "DEFAULTED sampling.max_output_tokens",
    ]);
  });

  test("case 31: illegal ids become legal ones, the same every time and on both sides, without collisions", () => {
    const ids = ["functions.Bash:0", "functions.Bash_0", "functions:Bash.0", "ünï-✓", "ok-1_A"];
    const messages = [user("x"), assistant(...ids.map((id) => call(id))), ...ids.map((id) => result(id, "r"))];
    const { json } = write({ messages });
    const sent = json.messages[1]?.content.map(({ id }) => String(id)) ?? [];
    expect(new Set(sent).size).toBe(ids.length);
    expect(sent[0]).toBe("functions_Bash_0_a97d1507");
    expect(sent.at(-1)).toBe("ok-1_A");
    expect(json.messages[2]?.content.map(({ tool_use_id }) => tool_use_id)).toEqual(sent);
    expect(write({ messages }).body).toBe(write({ messages }).body);
    expect(problemsOf(json)).toEqual([]);
  });

  test("an id that is used again in a later turn is kept apart, with its result", () => {
    const messages = [user("x"), assistant(call("call_0")), result("call_0", "1"), assistant(call("call_0")), result("call_0", "2")];
    const { json, refused } = write({ messages });
    expect(refused).toEqual([]);
    expect(json.messages[1]?.content[0]?.id).toBe("call_0");
    const second = String(json.messages[3]?.content[0]?.id);
    expect(second).toMatch(/^call_0_[0-9a-f]{8}$/);
    expect(json.messages[4]?.content[0]).toMatchObject({ tool_use_id: second, content: [{ text: "2" }] });
    expect(problemsOf(json)).toEqual([]);
  });

  test("results: errors, JSON, images; sound is refused", () => {
    const image = media("image", { source: { case: "data", value: png } });
    const { json } = write({
      messages: [
        user("x"),
        assistant(call("a"), call("b"), call("c")),
        result("a", "no such file", { isError: true }),
        result("b", "", { resultJson: '{"n":1}' }),
        result("c", "", { content: [text("see"), image] }),
      ],
    });
    expect(json.messages[2]?.content).toEqual([
      { type: "tool_result", tool_use_id: "a", is_error: true, content: [{ type: "text", text: "no such file" }] },
      { type: "tool_result", tool_use_id: "b", content: [{ type: "text", text: '{"n":1}' }] },
      {
        type: "tool_result",
        tool_use_id: "c",
        content: [
          { type: "text", text: "see" },
          { type: "image", source: { type: "base64", media_type: "image/png", data: "iVBORw0KGgoBAgM=" } },
        ],
      },
    ]);
    const sound = media("audio", { source: { case: "data", value: png } });
    expect(write({ messages: [user("x"), assistant(call("a")), result("a", "", { content: [sound] })] }).refused).toEqual([
      "messages[2].parts[0].tool_result.content[0]",
    ]);
  });

  test("images of results follow all results where the model takes none inside", () => {
    const image = media("image", { source: { case: "data", value: png } });
    const { json, notes } = write(
      { messages: [user("x"), assistant(call("a"), call("b")), result("a", "", { content: [image] }), result("b", "2"), user("go")] },
      { toolResultImages: false },
    );
    expect(json.messages[2]?.content.map(({ type }) => type)).toEqual(["tool_result", "tool_result", "image", "text"]);
    expect(notes).toContain("EMULATED messages[2].parts[0].tool_result.content[0]");
  });

  test("a free-text call is a call with one argument", () => {
    const { json, notes } = write({
      messages: [user("x"), assistant(call("a", "shell", "", { kind: 2, inputText: "ls" })), result("a", "ok")],
    });
    expect(json.messages[1]?.content[0]).toMatchObject({ input: { input: "ls" } });
    expect(notes).toContain("EMULATED messages[1].parts[0]");
  });
});

describe("reasoning", () => {
  test("what this provider signed goes back unchanged, in order, before the call", () => {
    const redacted = {
      part: { case: "reasoning", value: { redacted: true } },
      signature: { value: "Emw+/==", format: "anthropic", provider: "anthropic" },
    } as PartInit;
    const unknown = reasoning("", { value: "EuYB/+==", format: "anthropic", provider: "" });
    const { json, notes } = write({
      messages: [user("x"), assistant(reasoning("I think"), redacted, unknown, call("a")), result("a", "1")],
    });
    expect(json.messages[1]?.content.slice(0, 3)).toEqual([
      { type: "thinking", thinking: "I think", signature: "sig" },
      { type: "redacted_thinking", data: "Emw+/==" },
      { type: "thinking", thinking: "", signature: "EuYB/+==" },
    ]);
    expect(notes).toEqual(["DEFAULTED sampling.max_output_tokens"]);
  });

  test.each([
    ["no signature", undefined],
    ["another provider's", { value: "s", format: "anthropic", provider: "bedrock" }],
    ["another family's", { value: "s", format: "gemini", provider: "anthropic" }],
  ])("%s: the reasoning stays behind, the call succeeds", (_, signature) => {
    const part = { part: { case: "reasoning", value: { text: "private thoughts" } }, signature } as PartInit;
    const { body, json, notes, refused } = write({ messages: [user("x"), assistant(part, "yes"), user("y")] });
    expect(body).not.toContain("private thoughts");
    expect(json.messages[1]?.content).toEqual([{ type: "text", text: "yes" }]);
    expect(notes).toContain("DROPPED messages[1].parts[0]");
    expect(refused).toEqual([]);
  });

  test("a signature on a call has no place", () => {
    const signed = { ...call("a"), signature: { value: "s", format: "gemini", provider: "" } } as PartInit;
    const { notes } = write({ messages: [user("x"), assistant(signed), result("a", "1")] });
    expect(notes).toContain("DROPPED messages[1].parts[0].signature");
  });
});

describe("opaque blocks", () => {
  const use = { type: "server_tool_use", id: "srv_1", name: "web_search", input: { query: "q" } };
  const found = { type: "web_search_tool_result", tool_use_id: "srv_1", content: [] };

  test("case 37: of this format are replayed in order", () => {
    const { json } = write({ messages: [user("x"), assistant("a", opaque(use.type, use), opaque(found.type, found), "b"), user("y")] });
    expect(json.messages[1]?.content).toEqual([{ type: "text", text: "a" }, use, found, { type: "text", text: "b" }]);
  });

  test("case 37: of another format are left out, with their pair", () => {
    const { json, notes } = write({
      messages: [user("x"), assistant(opaque("web_search_call", { id: "ws" }, "openai-responses"), "b"), user("y")],
    });
    expect(json.messages[1]?.content).toEqual([{ type: "text", text: "b" }]);
    expect(notes).toContain("DROPPED messages[1].parts[0]");
  });

  test("torn from their pair are refused", () => {
    expect(write({ messages: [user("x"), assistant("a", opaque(found.type, found)), user("y")] }).refused).toEqual([
      "messages[1].parts[1]",
    ]);
    const messages = [user("x"), assistant(opaque(use.type, use)), user("y"), assistant("z"), user("w")];
    expect(write({ messages }).refused).toEqual(["messages[1].parts[0]"]);
  });

  test("must be JSON objects", () => {
    const broken = { part: { case: "opaque", value: { format: "anthropic-messages", type: "x", dataJson: "{" } } } as PartInit;
    expect(() => write({ messages: [user(broken)] })).toThrow("messages[0].parts[0].opaque.data_json");
  });
});

describe("media", () => {
  test("a picture is named for what it is", () => {
    const source = { case: "data", value: png };
    const { json, notes } = write({ messages: [user(media("image", { source, mimeType: "image/jpg" }), media("image", { source }))] });
    expect(json.messages[0]?.content[0]?.source).toEqual({ type: "base64", media_type: "image/png", data: "iVBORw0KGgoBAgM=" });
    expect(json.messages[0]?.content[1]?.source).toMatchObject({ media_type: "image/png" });
    expect(notes).toEqual(["COERCED messages[0].parts[0].image.mime_type", "DEFAULTED sampling.max_output_tokens"]);
  });

  test("addresses and stored files", () => {
    const { json } = write({
      messages: [
        user(
          media("image", { source: { case: "url", value: "https://example.com/a.png" } }),
          media("file", { source: { case: "url", value: "https://example.com/a.pdf" }, filename: "a.pdf" }),
          media("image", { source: { case: "providerFile", value: { id: "file_1", provider: "anthropic" } } }),
        ),
      ],
    });
    expect(json.messages[0]?.content).toEqual([
      { type: "image", source: { type: "url", url: "https://example.com/a.png" } },
      { type: "document", source: { type: "url", url: "https://example.com/a.pdf" }, title: "a.pdf" },
      { type: "image", source: { type: "file", file_id: "file_1" } },
    ]);
  });

  test("documents: PDF, text, a picture in disguise", () => {
    const document = { title: "T", context: "C", citations: true };
    const { json, notes } = write({
      messages: [
        user(
          media("file", { source: { case: "data", value: pdf }, filename: "x.pdf", document }),
          media("file", { source: { case: "data", value: Buffer.from("a;b\nä") }, mimeType: "text/csv" }),
          media("file", { source: { case: "data", value: png } }),
        ),
      ],
    });
    expect(json.messages[0]?.content).toEqual([
      {
        type: "document",
        source: { type: "base64", media_type: "application/pdf", data: pdf.toString("base64") },
        title: "T",
        context: "C",
        citations: { enabled: true },
      },
      { type: "document", source: { type: "text", media_type: "text/plain", data: "a;b\nä" } },
      { type: "image", source: { type: "base64", media_type: "image/png", data: "iVBORw0KGgoBAgM=" } },
    ]);
    expect(notes).toContain("COERCED messages[0].parts[1].file.mime_type");
  });

  test.each([
    ["sound", media("audio", { source: { case: "data", value: png } })],
    ["moving pictures", media("video", { source: { case: "url", value: "https://example.com/v" } })],
    ["a picture of another type", media("image", { source: { case: "data", value: Buffer.from("<svg/>") }, mimeType: "image/svg+xml" })],
    ["bytes of no known type", media("image", { source: { case: "data", value: Buffer.from("?") } })],
    ["another provider's file", media("file", { source: { case: "providerFile", value: { id: "f", provider: "gemini" } } })],
    ["an address that is not on the web", media("image", { source: { case: "url", value: "gs://bucket/a" } })],
    ["text that is no UTF-8", media("file", { source: { case: "data", value: Uint8Array.of(0xff) }, mimeType: "text/plain" })],
  ])("%s is refused with its path", (_, part) => {
    expect(write({ messages: [user("see", part)] }).refused).toEqual([
      expect.stringMatching(/^messages\[0\]\.parts\[1\](?:\.(?:image|file))?$/),
    ]);
  });

  test("an assistant's pictures move to the next user message, behind results", () => {
    const { json, notes } = write({
      messages: [
        user("draw"),
        assistant(media("image", { source: { case: "data", value: png } }), call("a")),
        result("a", "1"),
        user("nice"),
      ],
    });
    expect(json.messages.map(({ content }) => content.map(({ type }) => type))).toEqual([
      ["text"],
      ["tool_use"],
      ["tool_result", "image", "text"],
    ]);
    expect(notes).toContain("EMULATED messages[1].parts[0]");
  });

  test("detail is dropped, unless it leaves the choice to the provider", () => {
    const image = (detail: number) => media("image", { source: { case: "data", value: png }, detail });
    expect(write({ messages: [user(image(3), image(1))] }).notes).toEqual([
      "DROPPED messages[0].parts[0].image.detail",
      "DEFAULTED sampling.max_output_tokens",
    ]);
  });
});

describe("citations of earlier answers", () => {
  test("those of this service go back, others stay behind", () => {
    const annotations = [
      { citedText: "c", source: { case: "document", value: { index: 0, title: "D", unit: 2, start: 1, end: 2 } } },
      { citedText: "w", source: { case: "url", value: { url: "https://e.org", title: "", encryptedIndex: "Eo=" } } },
      { citedText: "g", source: { case: "url", value: { url: "https://g.org" } } },
    ];
    const { json, notes } = write({ messages: [user("x"), assistant(text("yes", { annotations })), user("y")] });
    expect(json.messages[1]?.content[0]?.citations).toEqual([
      { type: "page_location", cited_text: "c", document_index: 0, document_title: "D", start_page_number: 1, end_page_number: 2 },
      { type: "web_search_result_location", cited_text: "w", url: "https://e.org", title: null, encrypted_index: "Eo=" },
    ]);
    expect(notes).toContain("DROPPED messages[1].parts[0].annotations");
  });
});
