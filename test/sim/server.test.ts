import OpenAI from "openai";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type SimServer, startSim } from "../../src/sim/server/start-sim.ts";
import { chat, claude, formats, gemini, headers, records, script, send } from "./sim-client.ts";

let sim: SimServer;
let client: OpenAI;
beforeAll(async () => {
  sim = await startSim({ port: 0 });
  client = new OpenAI({ apiKey: "sk-test-0001", baseURL: `${sim.url}/v1`, maxRetries: 0 });
});
afterAll(() => sim.close());
beforeEach(() => sim.clear());

const twoCalls = script({
  steps: [
    { reasoning: "They want two things." },
    { text: "Let me look." },
    {
      parallel: [
        { tool_call: { name: "weather", arguments: { city: "Zürich 🏔" } } },
        { tool_call: { name: "time", arguments: { zone: "CET" } } },
      ],
    },
  ],
  usage: { input_tokens: 90, output_tokens: 33, cache_read_tokens: 60, reasoning_tokens: 6 },
});

describe("the openai package", () => {
  test("streams a chat with parallel calls in turns, and its usage", async () => {
    const stream = client.chat.completions.stream({
      model: "sim-script",
      messages: [{ role: "user", content: twoCalls }],
      stream_options: { include_usage: true },
    });
    const indexes: number[] = [];
    stream.on("chunk", ({ choices }) => indexes.push(...(choices[0]?.delta.tool_calls ?? []).map(({ index }) => index)));
    const answer = await stream.finalChatCompletion();
    const [choice] = answer.choices;
    expect(choice?.message.content).toBe("Let me look.");
    expect(
      choice?.message.tool_calls?.map((call) => call.type === "function" && [call.function.name, JSON.parse(call.function.arguments)]),
    ).toEqual([
      ["weather", { city: "Zürich 🏔" }],
      ["time", { zone: "CET" }],
    ]);
    expect(indexes.slice(0, 4)).toEqual([0, 1, 0, 1]);
    expect(choice?.finish_reason).toBe("tool_calls");
    expect(answer.usage).toMatchObject({ prompt_tokens: 90, completion_tokens: 33, prompt_tokens_details: { cached_tokens: 60 } });
    expect(sim.bill()).toMatchObject([
      { format: "openai-chat", inputTokens: 90, outputTokens: 33, cacheReadTokens: 60, reasoningTokens: 6, completed: true },
    ]);
  });

  test("gets n answers, stop, length, logprobs and JSON by schema", async () => {
    const ask = (text: string, rest: object) =>
      client.chat.completions.create({ model: "sim-echo", messages: [{ role: "user", content: text }], ...rest });
    expect((await ask("one two", { n: 2 })).choices.map(({ message }) => message.content)).toEqual(["one two", "one two"]);
    expect((await ask("one two", { stop: " t" })).choices[0]).toMatchObject({ message: { content: "one" }, finish_reason: "stop" });
    expect((await ask("one two", { max_tokens: 1 })).choices[0]).toMatchObject({ message: { content: "one " }, finish_reason: "length" });
    expect((await ask("abcdef", { logprobs: true })).choices[0]?.logprobs?.content?.map(({ token }) => token)).toEqual(["abcd", "ef"]);
    const schema = { type: "object", properties: { a: { enum: ["x"] } }, required: ["a"], additionalProperties: false };
    const format = { type: "json_schema", json_schema: { name: "out", schema, strict: true } };
    expect((await ask("hi", { response_format: format })).choices[0]?.message.content).toBe('{"a":"x"}');
  });

  test("streams a response: text, reasoning and calls as items", async () => {
    const stream = client.responses.stream({
      model: "sim-script",
      input: twoCalls,
      include: ["reasoning.encrypted_content"],
      reasoning: { summary: "auto" },
    });
    const sequences: number[] = [];
    // The package adds fields of its own to a final response, which the service refuses to take back.
    let sent: OpenAI.Responses.Response | undefined;
    for await (const event of stream) {
      sequences.push(event.sequence_number);
      if (event.type === "response.completed") sent = structuredClone(event.response);
    }
    const answer = await stream.finalResponse();
    expect(answer.output.map(({ type }) => type)).toEqual(["reasoning", "message", "function_call", "function_call"]);
    expect(answer.output[2]).toMatchObject({ name: "weather", arguments: '{"city":"Zürich 🏔"}' });
    expect(answer.output_text).toBe("Let me look.");
    expect(answer.usage).toMatchObject({ input_tokens: 90, output_tokens: 33 });
    expect(sequences).toEqual(sequences.map((_, index) => index));

    // What was answered can be sent back: with the items, and by id.
    const outputs = answer.output.flatMap((item) =>
      item.type === "function_call" ? [{ type: "function_call_output" as const, call_id: item.call_id, output: "4" }] : [],
    );
    const again = await client.responses.create({
      model: "sim-script",
      store: false,
      input: [{ role: "user", content: twoCalls }, ...((sent?.output ?? []) as never[]), ...outputs],
    });
    expect(again.output_text).toBe("4\n4");
    const byId = await client.responses.create({ model: "sim-script", previous_response_id: answer.id, input: outputs });
    expect(byId.output_text).toBe("4\n4");
  });

  test("a cut response is incomplete", async () => {
    const answer = await client.responses.create({ model: "sim-echo", input: "x".repeat(200), max_output_tokens: 16 });
    expect(answer).toMatchObject({ status: "incomplete", incomplete_details: { reason: "max_output_tokens" } });
    expect(answer.output_text).toHaveLength(64);
  });

  test("embeds as floats and as base64 alike", async () => {
    const ask = (rest: object) => client.embeddings.create({ model: "sim-embed", input: ["one", "two"], dimensions: 8, ...rest });
    const floats = await ask({ encoding_format: "float" });
    const decoded = await ask({});
    expect(decoded.data.map(({ embedding }) => [...embedding])).toEqual(floats.data.map(({ embedding }) => embedding));
    expect(Math.hypot(...(floats.data[0]?.embedding ?? []))).toBeCloseTo(1, 5);
    expect(sim.bill()).toMatchObject([{ format: "openai-embeddings", inputTokens: 2 }, { inputTokens: 2 }]);
  });

  test("lists and retrieves models, and meets errors as the vendor sends them", async () => {
    const ids: string[] = [];
    for await (const { id } of client.models.list()) ids.push(id);
    expect(ids).toContain("sim-echo");
    expect(await client.models.retrieve("anything")).toMatchObject({ id: "anything", object: "model" });
    await expect(client.models.retrieve("sim-missing")).rejects.toMatchObject({ status: 404, code: "model_not_found" });
    const bad = new OpenAI({ apiKey: "sk-bad-0001", baseURL: `${sim.url}/v1`, maxRetries: 0 });
    await expect(bad.models.list()).rejects.toMatchObject({ status: 401, code: "invalid_api_key" });
  });
});

describe("anthropic", () => {
  test("blocks follow one another, signed reasoning first, and can be sent back", async () => {
    const response = await send(sim, "/v1/messages", claude(twoCalls, { stream: true }));
    const text = await response.text();
    const events = records(text);
    expect(text).toMatch(/^event: message_start\n/);
    expect(
      events.filter(({ type }) => type === "content_block_start").map(({ index, content_block }) => [index, content_block.type]),
    ).toEqual([
      [0, "thinking"],
      [1, "text"],
      [2, "tool_use"],
      [3, "tool_use"],
    ]);
    // Never two blocks open at once.
    let open = 0;
    for (const { type } of events) {
      if (type === "content_block_start") expect(++open).toBe(1);
      if (type === "content_block_stop") open--;
    }
    expect(events.at(-2)).toMatchObject({
      delta: { stop_reason: "tool_use" },
      usage: { input_tokens: 30, cache_read_input_tokens: 60, output_tokens: 33 },
    });

    const whole = await (await send(sim, "/v1/messages", claude(twoCalls))).json();
    const results = whole.content
      .filter(({ type }: { type: string }) => type === "tool_use")
      .map(({ id }: { id: string }) => ({ type: "tool_result", tool_use_id: id, content: "4" }));
    const messages = [
      { role: "user", content: twoCalls },
      { role: "assistant", content: whole.content },
      { role: "user", content: results },
    ];
    const again = await send(sim, "/v1/messages", claude("", { messages }));
    expect((await again.json()).content).toEqual([{ type: "text", text: "4\n4" }]);

    const changed = structuredClone(messages) as { content: { thinking?: string }[] }[];
    Object.assign(changed[1]?.content[0] ?? {}, { thinking: "something else" });
    expect((await (await send(sim, "/v1/messages", claude("", { messages: changed }))).json()).error.message).toBe(
      "messages.1.content.0: Invalid `signature` in `thinking` block",
    );
  });

  test("redacted and hidden reasoning", async () => {
    const redacted = await (
      await send(sim, "/v1/messages", claude(script({ steps: [{ reasoning: "secret", redacted: true }, { text: "ok" }] })))
    ).json();
    expect(redacted.content[0]).toEqual({ type: "redacted_thinking", data: expect.any(String) });
    expect(redacted.usage.output_tokens_details.thinking_tokens).toBe(2);
    const thinking = { type: "enabled", budget_tokens: 1024, display: "omitted" };
    const hidden = await (await send(sim, "/v1/messages", claude("hi", { thinking }))).json();
    expect(hidden.content[0]).toMatchObject({ type: "thinking", thinking: "", signature: expect.any(String) });
  });

  test("counts tokens and lists models when asked in Anthropic's way", async () => {
    const counted = await send(sim, "/v1/messages/count_tokens", { model: "m", messages: [{ role: "user", content: "12345678" }] });
    expect(await counted.json()).toEqual({ input_tokens: 6 });
    const page = await (await fetch(`${sim.url}/v1/models?limit=2`, { headers })).json();
    expect(page).toMatchObject({ has_more: true, data: [{ type: "model", id: "sim-echo" }, {}] });
    const next = await (await fetch(`${sim.url}/v1/models?limit=1000&after_id=${page.last_id}`, { headers })).json();
    expect(next).toMatchObject({ has_more: false });
  });
});

describe("gemini", () => {
  test("calls come whole, the first one signed; thoughts are counted apart", async () => {
    const whole = await (await send(sim, "/v1beta/models/m:generateContent", gemini(twoCalls))).json();
    const { parts } = whole.candidates[0].content;
    expect(parts.map((part: object) => Object.keys(part))).toEqual([
      ["text", "thought"],
      ["text"],
      ["functionCall", "thoughtSignature"],
      ["functionCall"],
    ]);
    expect(whole.usageMetadata).toMatchObject({
      promptTokenCount: 90,
      candidatesTokenCount: 27,
      thoughtsTokenCount: 6,
      cachedContentTokenCount: 60,
    });

    const sse = await (await send(sim, "/v1beta/models/m:streamGenerateContent?alt=sse", gemini(twoCalls))).text();
    const array = await (await send(sim, "/v1beta/models/m:streamGenerateContent", gemini(twoCalls))).json();
    const textOf = (chunks: { candidates: { content: { parts: { text?: string; thought?: boolean }[] } }[] }[]) =>
      chunks
        .flatMap(({ candidates }) => candidates[0]?.content.parts ?? [])
        .map(({ text = "", thought }) => (thought ? "" : text))
        .join("");
    expect(textOf(records(sse))).toBe("Let me look.");
    expect(textOf(array)).toBe("Let me look.");

    const responses = parts.flatMap((part: { functionCall?: { name: string } }) =>
      part.functionCall === undefined ? [] : [{ functionResponse: { name: part.functionCall.name, response: { output: "4" } } }],
    );
    const contents = [
      { role: "user", parts: [{ text: twoCalls }] },
      { role: "model", parts },
      { role: "user", parts: responses },
    ];
    const again = await (await send(sim, "/v1beta/models/gemini-3-pro:generateContent", { contents })).json();
    expect(again.candidates[0].content.parts).toEqual([{ text: "4\n4" }]);
  });

  test("takes both spellings of fields, counts, embeds and lists", async () => {
    const snake = { contents: [{ parts: [{ text: "12345678" }] }], generation_config: { max_output_tokens: 1 } };
    expect((await (await send(sim, "/v1beta/models/m:generateContent", snake)).json()).candidates[0]).toMatchObject({
      content: { parts: [{ text: "1234" }] },
      finishReason: "MAX_TOKENS",
    });
    expect(await (await send(sim, "/v1beta/models/m:countTokens", gemini("12345678"))).json()).toMatchObject({ totalTokens: 6 });
    const one = await (
      await send(sim, "/v1beta/models/m:embedContent", { content: { parts: [{ text: "x" }] }, outputDimensionality: 4 })
    ).json();
    const request = { model: "models/m", content: { parts: [{ text: "x" }] }, outputDimensionality: 4 };
    const batch = await (await send(sim, "/v1beta/models/m:batchEmbedContents", { requests: [request, request] })).json();
    expect(batch.embeddings).toEqual([one.embedding, one.embedding]);
    expect(one.embedding.values).toHaveLength(4);
    const page = await (await fetch(`${sim.url}/v1beta/models?pageSize=1`, { headers })).json();
    expect(page).toMatchObject({ models: [{ name: "models/sim-echo" }], nextPageToken: "1" });
    // Newer clients of the vendor leave out "beta".
    expect(await (await send(sim, "/v1/models/m:countTokens", gemini("12345678"))).json()).toMatchObject({ totalTokens: 6 });
    const listed = await fetch(`${sim.url}/v1/models`, { headers: { "x-goog-api-key": "sk-test-0001" } });
    expect(await listed.json()).toMatchObject({ models: [{ name: "models/sim-echo" }, ...Array(49).fill({})] });
  });
});

describe("scripts", () => {
  test.each(formats)("a script survives as one part among others ($format, stream $stream)", async ({ format, ask }) => {
    const text = await (await ask(sim, script({ steps: [{ text: "played" }] }))).text();
    expect(text.replaceAll(/[^a-z]/g, "")).toContain("play");
    expect(sim.bill()).toMatchObject([{ format, outputTokens: 2, completed: true }]);
  });

  test("attempts and flaky models fail first, then answer", async () => {
    const book = script({ attempts: [{ steps: [{ error: { status: 500 } }] }, { steps: [{ text: "ok" }] }] });
    const statuses = async (body: object) => (await send(sim, "/v1/chat/completions", body)).status;
    expect([await statuses(chat(book)), await statuses(chat(book))]).toEqual([500, 200]);
    const flaky = chat("hi", { model: "sim-flaky-2" });
    expect([await statuses(flaky), await statuses(flaky), await statuses(flaky)]).toEqual([503, 503, 200]);
    expect(await statuses(chat("other", { model: "sim-flaky-1" }))).toBe(503);
  });

  test("a wrong script is the vendor's 400 that names the path", async () => {
    const response = await send(sim, "/v1/messages", claude(script({ steps: [{ tool_call: {} }] })));
    expect(response.status).toBe(400);
    expect((await response.json()).error.message).toBe("sim_script.steps[0].tool_call.name: is required");
  });

  test("a pace holds by script and by server", async () => {
    const slow = await startSim({ port: 0, ttftMs: 400, tokensPerSecond: 100 });
    try {
      const begin = performance.now();
      await (await send(slow, "/v1/chat/completions", chat("x".repeat(20)))).text();
      expect(performance.now() - begin).toBeGreaterThanOrEqual(435);
      const unhurried = performance.now();
      await (await send(slow, "/v1/chat/completions", chat(script({ steps: [{ text: "x" }], ttft_ms: 0 })))).text();
      expect(performance.now() - unhurried).toBeLessThan(400);
    } finally {
      await slow.close();
    }
  });

  test("a lenient model echoes what it does not know", async () => {
    const odd = { brand_new: { deep: [1] }, messages: [{ role: "user", content: "hi", mood: "good" }] };
    const body = { ...chat("hi", { model: "sim-lenient" }), ...odd };
    const answer = await (await send(sim, "/v1/chat/completions", body)).json();
    expect(answer).toMatchObject({ brand_new: { deep: [1] }, sim_unknown_fields: { "messages[0].mood": "good" } });
    expect((await send(sim, "/v1/chat/completions", { ...body, model: "m" })).status).toBe(400);
  });
});
