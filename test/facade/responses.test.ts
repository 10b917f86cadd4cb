/** What the gateway asks of a provider for a call of Responses, and whose state it is (surfaces.md N8). */
import { create } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { BlockKind, FinishReason, type GenerateRequest } from "../../gen/dragoman/v1/generate_pb.ts";
import { SettledSchema, TranslationAction, TranslationNoteSchema } from "../../gen/dragoman/v1/usage_pb.ts";
import type { Call } from "../../src/core/call.ts";
import { EventBuilder, finishedEvent, settledEvent, startedEvent } from "../../src/core/event.ts";
import { type Generate, post, startFacade } from "./fake-facade.ts";

interface Seen {
  readonly request: GenerateRequest;
  readonly call: Call;
}

interface Setup {
  beforeEnd?(): Promise<void>;
  /** Places that the target does not take. */
  readonly notes?: readonly string[];
}

/** Answers "ok" under an id of the upstream, and remembers what was asked. */
async function start({ beforeEnd, notes = [] }: Setup = {}) {
  const seen: Seen[] = [];
  const generate: Generate = async function* (request, call) {
    seen.push({ request, call });
    const action = TranslationAction.DROPPED;
    call.translation.push(...notes.map((path) => create(TranslationNoteSchema, { action, path, format: "x" })));
    const events = new EventBuilder();
    events.push(startedEvent({ provider: "p", servedModel: "m", upstreamId: "resp_upstream" }));
    const text = events.startBlock(0, BlockKind.TEXT, { id: "msg_upstream" });
    events.text(0, text, "ok");
    yield { events: events.take() };
    await beforeEnd?.();
    events.endOpenBlocks();
    events.push(finishedEvent({ reason: FinishReason.STOP }));
    events.push(settledEvent(create(SettledSchema)));
    yield { events: events.take() };
  };
  const url = await startFacade({ generate });
  const ask = async (body: object) => {
    const response = await post(`${url}/v1/responses`, { model: "m", ...body });
    return { status: response.status, headers: response.headers, body: await response.json() };
  };
  return { url, seen, ask };
}

function textsOf({ request }: Seen): string[] {
  return request.messages.map(({ parts }) => parts.map(({ part }) => (part.case === "text" ? part.value : part.case)).join());
}

const foreignId = "resp_68af4030592c81938ec0a5fbab4a3e9f05438e46b5f69a3b";

describe("state that the gateway keeps", () => {
  test("is not kept by the provider too, and its ids are the gateway's", async () => {
    const { seen, ask } = await start();
    const { body } = await ask({ input: "hi" });
    expect(body.id).toMatch(/^resp_[0-9A-Z]{26}$/);
    expect(seen[0]?.request.serverState).toMatchObject({ store: false, previousId: "" });
    expect(seen[0]?.call.wire).toBeUndefined();
  });

  test("comes before what is asked now, behind this call's instructions", async () => {
    const { seen, ask } = await start();
    const { body: first } = await ask({ instructions: "old", input: "one" });
    const { body: second } = await ask({ instructions: "new", input: "two", previous_response_id: first.id });
    await ask({ input: "three", previous_response_id: second.id, store: false });
    expect(seen.map(textsOf)).toEqual([
      ["old", "one"],
      ["new", "one", "ok", "two"],
      ["one", "ok", "two", "ok", "three"],
    ]);
    expect(seen[2]?.request.serverState).toMatchObject({ store: false, previousId: "" });
    expect(seen[2]?.call.wire).toBeUndefined();
  });

  test("branches: one answer can be continued twice", async () => {
    const { seen, ask } = await start();
    const { body: first } = await ask({ input: "one" });
    await ask({ input: "left", previous_response_id: first.id });
    await ask({ input: "right", previous_response_id: first.id });
    expect(seen.slice(1).map(textsOf)).toEqual([
      ["one", "ok", "left"],
      ["one", "ok", "right"],
    ]);
  });

  test("is found for items that a call names instead of repeating them", async () => {
    const { seen, ask } = await start();
    const { body: first } = await ask({ input: "one" });
    const input = [
      { role: "user", content: "one" },
      { type: "item_reference", id: first.output[0].id },
      { role: "user", content: "two" },
    ];
    const { body: second } = await ask({ input });
    expect(second.status).toBe("completed");
    expect(textsOf(seen[1] as Seen)).toEqual(["one", "ok", "two"]);
  });

  test("is refused by the field where it is gone", async () => {
    const { seen, ask } = await start();
    const { status, body } = await ask({ input: "hi", previous_response_id: "resp_01J0000000000000000000000A" });
    expect(status).toBe(400);
    expect(body.error).toMatchObject({ param: "previous_response_id", type: "invalid_request_error" });
    expect(seen).toEqual([]);
  });

  test("moves places in reports back to where the client wrote them", async () => {
    const { ask } = await start({
      notes: ["messages[0].parts[0].text", "messages[2].parts[0].cache", "sampling.top_p"],
    });
    const { body: first } = await ask({ input: "one" });
    const { headers } = await ask({ input: "two", previous_response_id: first.id });
    const paths = [...(headers.get("x-dragoman-translation") ?? "").matchAll(/path="([^"]*)"/g)].map(([, path]) => path);
    expect(paths).toEqual(["previous_response_id", expect.stringMatching(/^input/), "top_p"]);
  });

  test("is not made of a streamed answer that was deleted while it ran", async () => {
    const gate = Promise.withResolvers<void>();
    const { url } = await start({ beforeEnd: () => gate.promise });
    const response = await post(`${url}/v1/responses`, { model: "m", input: "hi", stream: true });
    const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
    const head = (await reader?.read())?.value ?? "";
    const id = /"id":"(resp_[0-9A-Z]{26})"/.exec(head)?.[1];
    expect(await (await fetch(`${url}/v1/responses/${id}`)).json()).toMatchObject({ status: "in_progress" });
    expect(await (await fetch(`${url}/v1/responses/${id}`, { method: "DELETE" })).json()).toMatchObject({ deleted: true });
    gate.resolve();
    let rest = "";
    for (let next = await reader?.read(); next?.done === false; next = await reader?.read()) rest += next.value;
    expect(rest).toContain("response.completed");
    expect((await fetch(`${url}/v1/responses/${id}`)).status).toBe(404);
  });
});

describe("state that an upstream keeps", () => {
  test.each([
    ["an id that the gateway never made", { previous_response_id: foreignId }, { previousId: foreignId }],
    ["a conversation", { conversation: "conv_1" }, { conversationId: "conv_1" }],
  ])("%s is handed on, with the client's own body, and the upstream's ids come back", async (_, body, state) => {
    const { url, seen, ask } = await start();
    const { body: answer } = await ask({ input: "hi", ...body });
    expect(seen[0]?.request.serverState).toMatchObject(state);
    expect(seen[0]?.request.serverState?.store).toBeUndefined();
    expect(seen[0]?.call.wire).toMatchObject({ format: "openai-responses", body: { model: "m", input: "hi", ...body } });
    expect(answer.id).toBe("resp_upstream");
    expect((await fetch(`${url}/v1/responses/${answer.id}`)).status).toBe(404);
  });

  test("nothing is kept and the bytes may pass where the client says store: false", async () => {
    const { url, seen, ask } = await start();
    const { body } = await ask({ input: "hi", store: false });
    expect(seen[0]?.call.wire).toMatchObject({ format: "openai-responses" });
    expect((await fetch(`${url}/v1/responses/${body.id}`)).status).toBe(404);
  });
});
