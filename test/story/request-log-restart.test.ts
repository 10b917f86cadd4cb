/** What outlives the process: records, and stored answers of Responses; and that nobody who watches keeps it from stopping. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import OpenAI from "openai";
import { afterAll, describe, expect, test } from "vitest";
import { RequestLogService } from "../../gen/dragoman/admin/v1/request_log_service_pb.ts";
import { type Gateway, startGateway } from "./gateway.ts";

const directory = mkdtempSync(join(tmpdir(), "dragoman-restart-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const start = () => startGateway({ config: { stores: { engine: "sqlite" }, data_dir: directory } });
const openai = (gateway: Gateway) => new OpenAI({ baseURL: `${gateway.url}/v1`, apiKey: "none", maxRetries: 0 });
const log = (gateway: Gateway) =>
  createClient(RequestLogService, createConnectTransport({ baseUrl: gateway.adminUrl, httpVersion: "1.1" }));

describe("a gateway with a database", () => {
  test("knows its records and its stored answers after a restart, and ends watches when it stops", async () => {
    const first = await start();
    const stored = await openai(first).responses.create({ model: "claude/sim-echo", input: "remember the wombat" });
    const ended = (async () => {
      for await (const _ of log(first).watchRequests({}));
      return "ended";
    })();
    await openai(first).responses.create({ model: "claude/sim-echo", input: "another" });
    // Written by the stop itself: records wait 200 ms for others.
    await first.close();
    expect(await ended).toBe("ended");

    const second = await start();
    try {
      const { requests } = await log(second).listRequests({});
      expect(requests.map(({ requestKind, status }) => [requestKind, status])).toEqual([
        ["responses", 1],
        ["responses", 1],
      ]);
      const read = await openai(second).responses.retrieve(stored.id);
      expect(read.output_text).toBe(stored.output_text);
      await openai(second).responses.create({ model: "claude/sim-echo", input: "go on", previous_response_id: stored.id });
      expect(JSON.stringify(second.sim.requests().at(-1))).toContain("remember the wombat");
    } finally {
      await second.close();
    }
  });
});
