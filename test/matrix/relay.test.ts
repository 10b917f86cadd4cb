/**
 * Every case once with the upstream's own bytes and once written from events, where client and upstream speak the same format:
 * what the client's SDK makes of them must be the same.
 */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Gateway, startGateway } from "../story/gateway.ts";
import { type Case, cases } from "./cases.ts";
import { anthropic } from "./dialect-anthropic.ts";
import { chat } from "./dialect-chat.ts";
import { gemini } from "./dialect-gemini.ts";
import { responses } from "./dialect-responses.ts";
import { ask } from "./run-cell.ts";
import { type Answer, CannotSay } from "./scene.ts";
import { lastReceived, providersOf, type Upstream, upstreams } from "./upstreams.ts";

let relaying: Gateway;
let writing: Gateway;

beforeAll(async () => {
  const configure = (facade: object) => (sim: Gateway["sim"]) => ({ providers: providersOf(sim), facade });
  relaying = await startGateway({ configure: configure({}) });
  writing = await startGateway({ configure: configure({ relay: false }) });
});

afterAll(async () => {
  await relaying?.close();
  await writing?.close();
});

/** OpenAI answers Responses clients by its Responses API; the other formats have a provider of their own name. */
const pairs = [chat, responses, anthropic, gemini].map((dialect) => {
  const upstream = upstreams.find(({ name }) => name === dialect.format);
  if (upstream === undefined) throw new Error(`no upstream speaks ${dialect.format}`);
  return { dialect, upstream };
});

for (const { dialect, upstream } of pairs) {
  for (const stream of [true, false]) {
    describe(`${dialect.name}, ${stream ? "streamed" : "buffered"}`, () => {
      test.each(cases)("$name", async (tried) => {
        const run = async ({ url, sim }: Gateway) => {
          const answer = await ask({ dialect, upstream, stream, tried }, { url, sim });
          return { answer: comparable(answer, tried), received: tried.badKey ? undefined : withoutIds(lastReceived(upstream, sim)) };
        };
        try {
          expect(await run(relaying)).toEqual(await run(writing));
        } catch (thrown) {
          if (!(thrown instanceof CannotSay)) throw thrown;
        }
      });
    });
  }
}

/** Without what is made anew for every answer, or is of one gateway alone. */
function comparable({ candidates, usage, failure, notes }: Answer, tried: Case) {
  return {
    candidates: candidates.map(({ calls, ...rest }) => ({ ...rest, calls: calls.map(({ name, arguments: input }) => ({ name, input })) })),
    usage: tried.fails === undefined ? usage : undefined,
    failure: failure && { status: failure.status, reason: failure.reason },
    notes,
  };
}

function withoutIds(received: ReturnType<Upstream["read"]>) {
  return JSON.parse(JSON.stringify(received)) as unknown;
}
