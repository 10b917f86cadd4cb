/** The simulated vendors refuse what the vendors refuse, in their words. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type SimServer, startSim } from "../../src/sim/server/start-sim.ts";
import { signReasoning } from "../../src/sim/signature.ts";
import { chat, claude, gemini, headers, script, send } from "./sim-client.ts";

let sim: SimServer;
beforeAll(async () => {
  sim = await startSim({ port: 0 });
});
afterAll(() => sim.close());

const call = (id: string) => ({ id, type: "function", function: { name: "f", arguments: "{}" } });
const user = { role: "user", content: "hi" };
const open = { type: "object", properties: { a: { type: "string" }, b: { type: "string" } }, required: ["a"] };
const closed = { ...open, additionalProperties: false };

describe("chat completions", () => {
  const longTool = [{ type: "function", function: { name: "f", parameters: open, strict: true } }];
  test.each<[string, object, string, string | null, string | null]>([
    ["an unknown argument", { brand_new: 1 }, "Unrecognized request argument supplied: brand_new", null, null],
    ["two of them", { b: 1, a: 2 }, "Unrecognized request arguments supplied: a, b", null, null],
    [
      "an unknown nested one",
      { messages: [{ ...user, mood: 1 }] },
      "Unknown parameter: 'messages[0].mood'.",
      "messages[0].mood",
      "unknown_parameter",
    ],
    ["no messages", { messages: undefined }, "Missing required parameter: 'messages'.", "messages", "missing_required_parameter"],
    [
      "empty messages",
      { messages: [] },
      "Invalid 'messages': empty array. Expected an array with minimum length 1, but got an empty array instead.",
      "messages",
      "empty_array",
    ],
    [
      "a wrong type",
      { messages: "hi" },
      "Invalid type for 'messages': expected an array, but got a string instead.",
      "messages",
      "invalid_type",
    ],
    [
      "a wrong role",
      { messages: [{ role: "robot", content: "hi" }] },
      "Invalid value: 'robot'. Supported values are: 'system', 'developer', 'user', 'assistant', 'tool', and 'function'.",
      "messages[0].role",
      "invalid_value",
    ],
    [
      "too hot",
      { temperature: 3 },
      "Invalid 'temperature': decimal above maximum value. Expected a value <= 2, but got 3 instead.",
      "temperature",
      "decimal_above_max_value",
    ],
    [
      "five stops",
      { stop: ["a", "b", "c", "d", "e"] },
      "Invalid 'stop': array too long. Expected an array with maximum length 4, but got an array with length 5 instead.",
      "stop",
      "array_above_max_length",
    ],
    [
      "a tool name with a space",
      { tools: [{ type: "function", function: { name: "a b" } }] },
      "Invalid 'tools[0].function.name': string does not match pattern. Expected a string that matches the pattern '^[a-zA-Z0-9_-]+$'.",
      "tools[0].function.name",
      "invalid_value",
    ],
    [
      "a result without a call",
      { messages: [user, { role: "tool", tool_call_id: "x", content: "1" }] },
      "Invalid parameter: messages with role 'tool' must be a response to a preceeding message with 'tool_calls'.",
      "messages.[1].role",
      null,
    ],
    [
      "a call without a result",
      {
        messages: [
          user,
          { role: "assistant", tool_calls: [call("c1"), call("c2")] },
          { role: "tool", tool_call_id: "c1", content: "1" },
          user,
        ],
      },
      "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'. The following tool_call_ids did not have response messages: c2",
      "messages.[3].role",
      null,
    ],
    [
      "json_object without the word",
      { response_format: { type: "json_object" } },
      "'messages' must contain the word 'json' in some form, to use 'response_format' of type 'json_object'.",
      "messages",
      null,
    ],
    [
      "a schema without a name",
      { response_format: { type: "json_schema", json_schema: { schema: {} } } },
      "Missing required parameter: 'response_format.json_schema.name'.",
      "response_format.json_schema.name",
      "missing_required_parameter",
    ],
    [
      "a strict schema that is open",
      { response_format: { type: "json_schema", json_schema: { name: "x", schema: open, strict: true } } },
      "Invalid schema for response_format 'x': In context=(), 'additionalProperties' is required to be supplied and to be false.",
      "response_format",
      null,
    ],
    [
      "a strict schema with an optional property",
      { response_format: { type: "json_schema", json_schema: { name: "x", schema: closed, strict: true } } },
      "Invalid schema for response_format 'x': In context=(), 'required' is required to be supplied and to be an array including every key in properties. Missing 'b'.",
      "response_format",
      null,
    ],
    [
      "a strict tool that is open",
      { tools: longTool },
      "Invalid schema for function 'f': In context=(), 'additionalProperties' is required to be supplied and to be false.",
      "tools[0].function.parameters",
      "invalid_function_parameters",
    ],
    [
      "max_tokens for a reasoning model",
      { model: "o3-mini", max_tokens: 5 },
      "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
      "max_tokens",
      "unsupported_parameter",
    ],
    [
      "a choice without tools",
      { tool_choice: "auto" },
      "Invalid value for 'tool_choice': 'tool_choice' is only allowed when 'tools' are specified.",
      "tool_choice",
      null,
    ],
    [
      "stream_options without stream",
      { stream_options: { include_usage: true } },
      "The 'stream_options' parameter is only allowed when 'stream' is enabled.",
      "stream_options",
      null,
    ],
    ["no model", { model: undefined }, "you must provide a model parameter", null, null],
  ])("refuses %s", async (_, change, message, param, code) => {
    const response = await send(sim, "/v1/chat/completions", { ...chat("hi"), ...change });
    expect(response.status).toBe(400);
    expect(await response.json()).toEqual({ error: { message, type: "invalid_request_error", param, code } });
  });

  test("takes everything the vendor takes", async () => {
    const body = {
      ...chat("hi"),
      messages: [
        { role: "developer", content: [{ type: "text", text: "be brief" }] },
        {
          role: "user",
          name: "ann",
          content: [
            { type: "text", text: "see" },
            { type: "image_url", image_url: { url: "data:image/png;base64,AA==", detail: "low" } },
          ],
        },
        { role: "assistant", content: null, tool_calls: [call("a"), call("b")] },
        { role: "tool", tool_call_id: "b", content: "2" },
        { role: "tool", tool_call_id: "a", content: [{ type: "text", text: "1" }] },
      ],
      tools: [{ type: "function", function: { name: "f", description: "d", parameters: open } }],
      tool_choice: { type: "function", function: { name: "f" } },
      parallel_tool_calls: false,
      reasoning_effort: "low",
      metadata: { a: "b" },
      logit_bias: { "50256": -100 },
      seed: 7,
      user: null,
    };
    const response = await send(sim, "/v1/chat/completions", body);
    expect(await response.json()).toMatchObject({
      choices: [{ message: { tool_calls: [{ function: { name: "f", arguments: '{"a":"sim"}' } }] } }],
    });
  });
});

describe("responses", () => {
  test.each<[string, object, string, string | null, string | null]>([
    ["an unknown field", { brand_new: 1 }, "Unknown parameter: 'brand_new'.", "brand_new", "unknown_parameter"],
    [
      "a chat tool",
      { tools: [{ type: "function", function: { name: "f" } }] },
      "Unknown parameter: 'tools[0].function'.",
      "tools[0].function",
      "unknown_parameter",
    ],
    [
      "an output without a call",
      { input: [{ type: "function_call_output", call_id: "c", output: "1" }] },
      "No tool call found for function call output with call_id c.",
      "input",
      null,
    ],
    [
      "a call without an output",
      { input: [{ type: "function_call", call_id: "c", name: "f", arguments: "{}" }] },
      "No tool output found for function call c.",
      "input",
      null,
    ],
    [
      "an unknown earlier answer",
      { previous_response_id: "resp_x" },
      "Previous response with id 'resp_x' not found.",
      "previous_response_id",
      "previous_response_not_found",
    ],
    [
      "foreign encrypted reasoning",
      {
        input: [
          { type: "reasoning", id: "rs_1", summary: [], encrypted_content: "Zm9v" },
          { role: "assistant", content: "x" },
        ],
      },
      "The encrypted content for item rs_1 could not be verified.",
      null,
      "invalid_encrypted_content",
    ],
    [
      "reasoning that leads to nothing",
      { store: false, input: [{ type: "reasoning", id: "rs_1", summary: [], encrypted_content: signReasoning("openai", "x") }] },
      "Item 'rs_1' of type 'reasoning' was provided without its required following item.",
      "input",
      null,
    ],
    [
      "reasoning by its id where nothing is kept",
      {
        store: false,
        input: [
          { type: "reasoning", id: "rs_1", summary: [] },
          { role: "assistant", content: "x" },
        ],
      },
      "Item with id 'rs_1' not found. Items are not persisted when `store` is set to false. Try again with `store` set to true, or remove this item from your input.",
      "input",
      null,
    ],
    [
      "a reference where nothing is kept",
      { store: false, input: [{ type: "item_reference", id: "msg_1" }] },
      "Item with id 'msg_1' not found. Items are not persisted when `store` is set to false. Try again with `store` set to true, or remove this item from your input.",
      "input",
      null,
    ],
    [
      "a call by another item's id",
      {
        input: [
          { type: "function_call", id: "call_1", call_id: "c", name: "f", arguments: "{}" },
          { type: "function_call_output", call_id: "c", output: "1" },
        ],
      },
      "Invalid 'input[0].id': 'call_1'. Expected an ID that begins with 'fc'.",
      "input[0].id",
      "invalid_value",
    ],
    [
      "input from the model",
      { input: [{ role: "assistant", content: [{ type: "input_text", text: "x" }] }] },
      "Invalid value: 'input_text'. Supported values are: 'output_text' and 'refusal'.",
      "input[0].content[0].type",
      "invalid_value",
    ],
    [
      "JSON mode without the word among the messages",
      { instructions: "Answer in JSON.", text: { format: { type: "json_object" } } },
      "Response input messages must contain the word 'json' in some form to use 'text.format' of type 'json_object'.",
      "input",
      null,
    ],
  ])("refuses %s", async (_, change, message, param, code) => {
    const response = await send(sim, "/v1/responses", { model: "m", input: "hi", ...change });
    expect(await response.json()).toEqual({ error: { message, type: "invalid_request_error", param, code } });
    expect(response.status).toBe(400);
  });
});

test("responses: input tokens are counted, and only what counts is taken", async () => {
  const count = await send(sim, "/v1/responses/input_tokens", { model: "m", input: "a few words to count" });
  expect(await count.json()).toEqual({ object: "response.input_tokens", input_tokens: expect.any(Number) });
  const refused = await send(sim, "/v1/responses/input_tokens", { model: "m", input: "hi", temperature: 1 });
  expect(refused.status).toBe(400);
});

describe("anthropic messages", () => {
  const use = (id: string) => ({ type: "tool_use", id, name: "f", input: {} });
  const result = (id: string) => ({ type: "tool_result", tool_use_id: id, content: "1" });
  const tools = [{ name: "f", input_schema: { type: "object" } }];
  const marked = (text: string) => ({ type: "text", text, cache_control: { type: "ephemeral" } });
  const thinking = { type: "enabled", budget_tokens: 1024 };
  test.each<[string, object, string | RegExp]>([
    ["an unknown field", { brand_new: 1 }, "brand_new: Extra inputs are not permitted"],
    [
      "an unknown nested field",
      { messages: [{ role: "user", content: [{ type: "text", text: "x", mood: 1 }] }] },
      "messages.0.content.0.text.mood: Extra inputs are not permitted",
    ],
    ["no max_tokens", { max_tokens: undefined }, "max_tokens: Field required"],
    ["a wrong type", { max_tokens: "5" }, "max_tokens: Input should be a valid integer"],
    ["a system message", { messages: [{ role: "system", content: "x" }, user] }, /^messages: Unexpected role "system"/],
    [
      "an unknown block",
      { messages: [{ role: "user", content: [{ type: "image_url" }] }] },
      /^messages.0.content.0: Input tag 'image_url' found using 'type' does not match any of the expected tags: 'text', 'image'/,
    ],
    ["no messages", { messages: [] }, "messages: at least one message is required"],
    ["an assistant first", { messages: [{ role: "assistant", content: "x" }, user] }, 'messages: first message must use the "user" role'],
    ["an empty text", { messages: [{ role: "user", content: "" }] }, "messages: text content blocks must be non-empty"],
    [
      "trailing white space at the end",
      { messages: [user, { role: "assistant", content: "x " }] },
      "messages: final assistant content cannot end with trailing whitespace",
    ],
    [
      "a call without a result",
      { messages: [user, { role: "assistant", content: [use("t1")] }, user] },
      /^messages.1: `tool_use` ids were found without `tool_result` blocks immediately after: t1\./,
    ],
    [
      "a result behind text",
      {
        messages: [
          user,
          { role: "assistant", content: [use("t1")] },
          { role: "user", content: [{ type: "text", text: "x" }, result("t1")] },
        ],
      },
      /^messages.1: `tool_use` ids were found without/,
    ],
    [
      "a result without a call",
      { messages: [{ role: "user", content: [result("t1")] }] },
      /^messages.0.content.0: unexpected `tool_use_id` found in `tool_result` blocks: t1\./,
    ],
    [
      "an illegal call id",
      { messages: [user, { role: "assistant", content: [use("a:b")] }] },
      "messages.1.content.0.tool_use.id: String should match pattern '^[a-zA-Z0-9_-]+$'",
    ],
    [
      "five cache markers",
      { system: [marked("a"), marked("b"), marked("c")], messages: [{ role: "user", content: [marked("d"), marked("e")] }] },
      "A maximum of 4 blocks with cache_control may be provided. Found 5.",
    ],
    [
      "a small budget",
      { thinking: { type: "enabled", budget_tokens: 5 } },
      "thinking.enabled.budget_tokens: Input should be greater than or equal to 1024",
    ],
    ["a budget over max_tokens", { thinking, max_tokens: 1024 }, /^`max_tokens` must be greater than `thinking.budget_tokens`/],
    [
      "a forced tool while thinking",
      { thinking, tools, tool_choice: { type: "any" } },
      "Thinking may not be enabled when tool_choice forces tool use.",
    ],
    ["a temperature while thinking", { thinking, temperature: 0.5 }, /^`temperature` may only be set to 1 when thinking is enabled/],
    [
      "a call without its thinking",
      { thinking, messages: [user, { role: "assistant", content: [use("t1")] }, { role: "user", content: [result("t1")] }] },
      /^messages.1.content.0.type: Expected `thinking` or `redacted_thinking`, but found `tool_use`/,
    ],
    [
      "a foreign signature",
      {
        messages: [
          user,
          {
            role: "assistant",
            content: [
              { type: "thinking", thinking: "x", signature: "abc" },
              { type: "text", text: "y" },
            ],
          },
        ],
      },
      "messages.1.content.0: Invalid `signature` in `thinking` block",
    ],
    ["a choice without tools", { tool_choice: { type: "auto" } }, /tool_choice may only be specified while providing tools/],
    ["a tool without a schema", { tools: [{ name: "f" }] }, "tools.0.custom.input_schema: Field required"],
    ["a blank stop text", { stop_sequences: ["\n"] }, "stop_sequences: each stop sequence must contain non-whitespace"],
    [
      "a schema with a minimum",
      { output_config: { format: { type: "json_schema", schema: { type: "integer", minimum: 1 } } } },
      "output_config.format.schema: For 'integer' type, property 'minimum' is not supported",
    ],
    [
      "prefill of a newer model",
      { model: "claude-opus-4-7", messages: [user, { role: "assistant", content: "x" }] },
      /does not support assistant message prefill/,
    ],
  ])("refuses %s", async (_, change, message) => {
    const response = await send(sim, "/v1/messages", { ...claude("hi"), ...change });
    const body = await response.json();
    expect(body).toEqual({
      type: "error",
      error: { type: "invalid_request_error", message: expect.any(String) },
      request_id: expect.stringMatching(/^req_/),
    });
    if (typeof message === "string") expect(body.error.message).toBe(message);
    else expect(body.error.message).toMatch(message);
    expect(response.status).toBe(400);
  });

  test("neighbours of one role are one turn: results may be spread over messages", async () => {
    const messages = [
      user,
      { role: "assistant", content: [use("a"), use("b")] },
      { role: "user", content: [result("b")] },
      { role: "user", content: [result("a")] },
    ];
    expect((await send(sim, "/v1/messages", { ...claude("hi"), messages })).status).toBe(200);
  });

  test("wants its version", async () => {
    const response = await fetch(`${sim.url}/v1/messages`, { method: "POST", headers: { "x-api-key": "sk-test-0001" }, body: "{}" });
    expect((await response.json()).error.message).toBe("anthropic-version: header is required");
  });
});

describe("gemini", () => {
  const path = "/v1beta/models/m:generateContent";
  const modelCall = { role: "model", parts: [{ functionCall: { name: "f", args: {} } }, { functionCall: { name: "g", args: {} } }] };
  const answerPart = { functionResponse: { name: "f", response: {} } };
  const declare = (parameters: object) => ({ tools: [{ functionDeclarations: [{ name: "f", parameters }] }] });
  test.each<[string, object, string]>([
    ["an unknown field", { brandNew: 1 }, 'Invalid JSON payload received. Unknown name "brandNew": Cannot find field.'],
    [
      "schema keywords of JSON Schema in parameters",
      declare({ type: "object", properties: { x: { type: "string", const: "a" } }, additionalProperties: false }),
      `Invalid JSON payload received. Unknown name "const" at 'tools[0].function_declarations[0].parameters.properties[0].value': Cannot find field.\nInvalid JSON payload received. Unknown name "additionalProperties" at 'tools[0].function_declarations[0].parameters': Cannot find field.`,
    ],
    [
      "a list of types",
      declare({ type: ["string", "null"] }),
      `Invalid JSON payload received. Unknown name "type" at 'tools[0].function_declarations[0].parameters': Proto field is not repeating, cannot start list.`,
    ],
    ["a wrong type", { generationConfig: { temperature: "hot" } }, `Invalid value at 'generation_config.temperature' (TYPE_FLOAT), "hot"`],
    ["no contents", { contents: [] }, "* GenerateContentRequest.contents: contents is not specified\n"],
    [
      "an empty content",
      { contents: [{ role: "user", parts: [] }] },
      "* GenerateContentRequest.contents[0].parts: contents.parts must not be empty.\n",
    ],
    ["a system role", { contents: [{ role: "system", parts: [{ text: "x" }] }] }, "Please use a valid role: user, model."],
    [
      "fewer results than calls",
      { contents: [...gemini("hi").contents, modelCall, { role: "user", parts: [answerPart] }] },
      "Please ensure that the number of function response parts is equal to the number of function call parts of the function call turn.",
    ],
    [
      "a result without a call",
      { contents: [{ role: "user", parts: [answerPart] }] },
      "Please ensure that function response turn comes immediately after a function call turn.",
    ],
    [
      "a foreign signature",
      {
        contents: [...gemini("hi").contents, { role: "model", parts: [{ text: "x", thoughtSignature: "Zm9v" }] }, ...gemini("hi").contents],
      },
      "Corrupted thought signature.",
    ],
    [
      "budget and level",
      { generationConfig: { thinkingConfig: { thinkingBudget: 5, thinkingLevel: "LOW" } } },
      "You can only set only one of thinking budget and thinking level.",
    ],
  ])("refuses %s", async (_, change, message) => {
    const response = await send(sim, path, { ...gemini("hi"), ...change });
    const body = await response.json();
    expect(body.error).toMatchObject({ code: 400, message, status: "INVALID_ARGUMENT" });
    expect(response.status).toBe(400);
    if (message.startsWith("Invalid")) expect(body.error.details[0].fieldViolations[0].description).toBe(message.split("\n")[0]);
  });

  test("the newest models want the signature of their calls back, or the documented bypass", async () => {
    const contents = (part: object) => [
      ...gemini("hi").contents,
      { role: "model", parts: [{ functionCall: { name: "f", args: {} }, ...part }] },
      { role: "user", parts: [answerPart] },
    ];
    const ask = async (part: object) =>
      (await send(sim, "/v1beta/models/gemini-3-pro:generateContent", { contents: contents(part) })).json();
    expect((await ask({})).error.message).toContain("missing a thought_signature");
    expect((await ask({ thoughtSignature: "skip_thought_signature_validator" })).candidates).toHaveLength(1);
  });
});

describe("credentials and paths", () => {
  const post = (path: string, init: Record<string, string>) =>
    fetch(sim.url + path, { method: "POST", headers: { "anthropic-version": "2023-06-01", ...init }, body: "{}" });
  test.each<[string, string, Record<string, string>, number, object]>([
    ["openai none", "/v1/chat/completions", {}, 401, { error: { type: "invalid_request_error", code: null } }],
    ["openai bad", "/v1/chat/completions", { authorization: "Bearer sk-bad-000001" }, 401, { error: { code: "invalid_api_key" } }],
    [
      "anthropic none",
      "/v1/messages",
      {},
      401,
      { type: "error", error: { type: "authentication_error", message: "x-api-key header is required" } },
    ],
    [
      "anthropic bad",
      "/v1/messages",
      { "x-api-key": "bad" },
      401,
      { error: { type: "authentication_error", message: "invalid x-api-key" } },
    ],
    ["gemini none", "/v1beta/models/m:generateContent", {}, 403, { error: { status: "PERMISSION_DENIED" } }],
    [
      "gemini bad",
      "/v1beta/models/m:generateContent?key=bad",
      {},
      400,
      { error: { status: "INVALID_ARGUMENT", details: [{ reason: "API_KEY_INVALID" }, {}] } },
    ],
    ["openai path", "/v1/nothing", headers, 404, { type: "error", error: { type: "not_found_error" } }],
    ["gemini path", "/v1beta/models/m:nothing", headers, 404, { error: { status: "NOT_FOUND" } }],
  ])("%s", async (_, path, init, status, body) => {
    const response = await post(path, init);
    expect(response.status).toBe(status);
    expect(await response.json()).toMatchObject(body);
  });

  test("unknown models, broken JSON and long bodies", async () => {
    expect((await send(sim, "/v1/chat/completions", chat("x", { model: "sim-missing" }))).status).toBe(404);
    expect((await (await send(sim, "/v1/messages", claude("x", { model: "sim-missing" }))).json()).error).toEqual({
      type: "not_found_error",
      message: "model: sim-missing",
    });
    expect((await send(sim, "/v1beta/models/sim-missing:generateContent", gemini("x"))).status).toBe(404);
    expect((await (await send(sim, "/v1/chat/completions", "{")).json()).error.message).toMatch(/^We could not parse the JSON body/);
    const small = await startSim({ port: 0, maxBodyBytes: 100 });
    expect((await send(small, "/v1/messages", claude("x".repeat(200)))).status).toBe(413);
    await small.close();
  });

  test("a refused request is in the requests, masked, and not on the bill", async () => {
    sim.clear();
    await send(sim, "/v1/chat/completions?key=secret-0009", { ...chat(script({ steps: [] })), brand_new: 1 });
    expect(sim.bill()).toEqual([]);
    const [request] = sim.requests();
    expect(request).toMatchObject({ status: 400, body: { brand_new: 1 }, headers: { authorization: "***0001" } });
    expect(JSON.stringify(sim.requests())).not.toContain("sk-test");
    expect(JSON.stringify(sim.requests())).not.toContain("secret-");
  });
});
