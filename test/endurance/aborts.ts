/** Callers that leave: whenever they do, the slot that their call held is free again (reliability.md 3.2). */
import http from "node:http";
import { setTimeout as pause } from "node:timers/promises";
import { createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { LimitService } from "../../gen/dragoman/admin/v1/limit_service_pb.ts";
import type { EnduranceRun } from "./endurance-run.ts";
import { type Place, places, startPlace } from "./gateway-places.ts";

export interface AbortTally {
  readonly place: Place;
  readonly aborts: number;
  /** Of them those that had their first bytes. */
  readonly midway: number;
  /** Calls that were answered in words instead, for example refused. */
  readonly refused: number;
  /** Most slots that were seen to be held while callers came and went. */
  readonly peak: number;
  /** Slots that are still held, once the last caller has left and a moment has passed. */
  readonly held: number;
  readonly seconds: number;
}

const slots = 1_000;
const restMs = 10_000;
const firstWordMs = 10_000;
/** Longest that a caller stays who does not wait for the first word. */
const mostMs = 60;

/** Undefined where the place cannot be had on this machine. */
export async function runAborts(place: Place, aborts: number, clients: number): Promise<AbortTally | undefined> {
  const gateways = await startPlace(place, [{ subject: "key", concurrency: slots }]);
  if (gateways === undefined) return undefined;
  try {
    const heldNow = createHeldSlots(gateways.adminUrl);
    const begin = performance.now();
    let left = aborts;
    let midway = 0;
    let refused = 0;
    let peak = 0;
    const leave = async (client: number): Promise<void> => {
      const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
      while (left-- > 0) {
        const stayMs = left % 2 === 0 ? undefined : (left * 37) % mostMs;
        const fate = await askAndLeave(gateways.urls[client % gateways.urls.length] ?? "", agent, stayMs);
        if (fate === "midway") midway++;
        if (fate === "refused") refused++;
      }
      agent.destroy();
    };
    const watch = async (): Promise<void> => {
      for (; left > 0; await pause(100)) peak = Math.max(peak, await heldNow());
    };
    await Promise.all([watch(), ...Array.from({ length: clients }, (_, client) => leave(client))]);
    const seconds = Math.round((performance.now() - begin) / 1_000);
    let held = await heldNow();
    for (const until = performance.now() + restMs; held > 0 && performance.now() < until; held = await heldNow()) await pause(50);
    return { place, aborts, midway, refused, peak, held, seconds };
  } finally {
    await gateways.close();
  }
}

/** A stream that says one word and then nothing for long. */
const script = JSON.stringify({ sim_script: { steps: [{ text: "first" }, { delay_ms: 30_000 }] } });
const body = JSON.stringify({ model: "chat/sim-script", stream: true, messages: [{ role: "user", content: script }] });

/** Leaves after so long, or with the first word. */
function askAndLeave(url: string, agent: http.Agent, stayMs: number | undefined): Promise<"early" | "midway" | "refused"> {
  return new Promise((resolve) => {
    let fate: "early" | "midway" | "refused" = "early";
    const headers = { "content-type": "application/json" };
    const request = http.request(`${url}/v1/chat/completions`, { method: "POST", agent, headers }, (response) => {
      fate = response.statusCode === 200 ? "midway" : "refused";
      response.on("error", () => undefined).on("data", () => stayMs === undefined && request.destroy());
    });
    const timer = setTimeout(() => request.destroy(), stayMs ?? firstWordMs);
    request
      .on("error", () => undefined)
      .on("close", () => {
        clearTimeout(timer);
        resolve(fate);
      });
    request.end(body);
  });
}

function createHeldSlots(adminUrl: string): () => Promise<number> {
  const admin = createClient(LimitService, createConnectTransport({ baseUrl: adminUrl, httpVersion: "1.1" }));
  return async () => {
    const { usages } = await admin.getLimitUsage({ call: { key: "anonymous" } });
    return slots - Number(usages[0]?.remaining ?? 0n);
  };
}

export const abortsRun: EnduranceRun = {
  name: "aborts",
  about: "Callers leave before, at and after the first word of a stream. At rest no slot of a concurrency limit is held.",
  options: { aborts: 10_000, callers: 48 },
  async run({ aborts = 1, callers = 1 }, print) {
    const tallies: AbortTally[] = [];
    for (const place of places) {
      const tally = await runAborts(place, aborts, callers);
      print(tally === undefined ? `${place}: skipped, there is no redis-server` : JSON.stringify(tally));
      if (tally !== undefined) tallies.push(tally);
    }
    return {
      passed: tallies.every(({ held, refused }) => held === 0 && refused === 0),
      lines: [
        "| gateway | aborts | after the first word | refused | most slots held | held at rest | seconds |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
        ...tallies.map((tally) => `| ${Object.values(tally).join(" | ")} |`),
      ],
    };
  },
};
