/** Same format on both sides: what the upstream sent is what the client gets (design.md rule 10). */

import { create } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { SettledSchema } from "../../gen/dragoman/v1/usage_pb.ts";
import type { Call } from "../../src/core/call.ts";
import { GatewayError } from "../../src/core/error.ts";
import { settledEvent, startedEvent } from "../../src/core/event.ts";
import { type Generate, hello, post, startFacade } from "./fake-facade.ts";

const chat = { model: "m", messages: [{ role: "user", content: "hi" }], brand_new: 1 };

/** The events of `hello` with bytes of their own, and `settled`, which has none. */
function relayed(failure?: GatewayError): Generate {
  return async function* () {
    let count = 0;
    for await (const { events } of hello()) {
      yield { events, raw: Buffer.from(count++ === 1 ? "" : `data: {"raw":${count}}\n\n`) };
      if (failure !== undefined) throw failure;
    }
    yield { events: [settledEvent(create(SettledSchema))] };
  };
}

describe("an answer's own bytes", () => {
  test("replace the writer's, and nothing is added at the end", async () => {
    const response = await post(`${await startFacade({ generate: relayed() })}/v1/chat/completions`, { ...chat, stream: true });
    expect(response.headers.get("content-type")).toMatch(/^text\/event-stream/);
    expect(response.headers.get("x-dragoman-provider")).toBe("p");
    expect(await response.text()).toBe('data: {"raw":1}\n\ndata: {"raw":3}\n\n');
  });

  test("are followed by the dialect's error record where the stream fails", async () => {
    const url = await startFacade({ generate: relayed(new GatewayError("provider_error", "gone")) });
    const text = await (await post(`${url}/v1/chat/completions`, { ...chat, stream: true })).text();
    const records = text.split("\n\n");
    expect(records[0]).toBe('data: {"raw":1}');
    expect(JSON.parse((records[1] ?? "").slice(6))).toMatchObject({ error: { message: "gone", type: "server_error" } });
    expect(text).not.toContain("[DONE]");
  });

  test("of Responses are followed by a failure under their own id, with the next number", async () => {
    const failing: Generate = async function* () {
      for await (const { events } of hello()) {
        const started = startedEvent({ provider: "p", servedModel: "m", upstreamId: "resp_theirs" });
        const record = 'data: {"type":"response.output_text.delta","sequence_number":41,"delta":"\\"sequence_number\\":99"}\n\n';
        yield { events: [started, ...events], raw: Buffer.from(record) };
        yield { events: [], raw: Buffer.from(": keep-alive\n\n") };
        throw new GatewayError("provider_error", "gone");
      }
    };
    const url = await startFacade({ generate: failing });
    const text = await (await post(`${url}/v1/responses`, { model: "m", input: "hi", store: false, stream: true })).text();
    const [, , last = ""] = text.split("\n\n");
    expect(JSON.parse(last.slice(last.indexOf("data: ") + 6))).toMatchObject({
      type: "response.failed",
      sequence_number: 42,
      response: { id: "resp_theirs", status: "failed", error: { message: "gone" } },
    });
  });

  test("are the body of a buffered answer", async () => {
    const url = await startFacade({
      async *generate() {
        for await (const { events } of hello()) yield { events, raw: Buffer.from("") };
        yield { events: [], raw: Buffer.from('{"id":"theirs","extra":1}') };
      },
    });
    const response = await post(`${url}/v1/chat/completions`, chat);
    expect(response.headers.get("content-type")).toBe("application/json");
    expect(await response.text()).toBe('{"id":"theirs","extra":1}');
  });

  test("come from a call that says what the client wrote, and whether it asked for usage", async () => {
    const calls: Call[] = [];
    const url = await startFacade({
      async *generate(_, call) {
        calls.push(call);
        yield* hello();
      },
    });
    await post(`${url}/v1/chat/completions`, { ...chat, stream: true, stream_options: { include_usage: true } });
    await post(`${url}/v1/chat/completions`, chat);
    expect(calls.map(({ wire }) => wire)).toEqual([
      { format: "openai-chat", body: { ...chat, stream: true, stream_options: { include_usage: true } }, includeUsage: true },
      { format: "openai-chat", body: chat, includeUsage: false },
    ]);
  });
});
