/** The whole matrix once more with a gateway before the gateway, over gRPC: what holds for one hop holds for two. */
import { afterAll, beforeAll, describe, test } from "vitest";
import { type Gateway, startGateway } from "../story/gateway.ts";
import { cases } from "./cases.ts";
import { createDialects } from "./dialects.ts";
import type { Cell } from "./judge.ts";
import { type Finding, summarize } from "./report.ts";
import { runCell } from "./run-cell.ts";
import { providersOf, type Upstream, upstreams } from "./upstreams.ts";

let inner: Gateway;
let outer: Gateway;
let running: Upstream | undefined;
const findings: Finding[] = [];

beforeAll(async () => {
  inner = await startGateway({ configure: (sim) => ({ providers: providersOf(sim) }) });
  outer = await startGateway({ config: { providers: { inner: { type: "dragoman", base_url: inner.url } } } });
});

afterAll(async () => {
  await outer?.close();
  await inner?.close();
  for (const line of summarize(findings)) console.log(line);
});

for (const dialect of createDialects(() => running?.name ?? "")) {
  for (const upstream of upstreams) {
    for (const stream of [true, false]) {
      describe(`${dialect.name} -> dragoman -> ${upstream.name}, ${stream ? "streamed" : "buffered"}`, () => {
        test.each(cases)("$name", async (tried) => {
          const cell: Cell = { dialect, upstream, stream, tried };
          running = upstream;
          const { outcome, notes } = await runCell(cell, { url: outer.url, sim: inner.sim, prefix: "inner/" });
          findings.push({ dialect: dialect.name, format: `dragoman -> ${upstream.name}`, tried: tried.name, stream, outcome, notes });
        });
      });
    }
  }
}
