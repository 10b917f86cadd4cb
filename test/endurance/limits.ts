/** Promise 6 (reliability.md 1 and 4.1 L7): admission follows the limit, wherever it is counted. */
import http from "node:http";
import { loadavg } from "node:os";
import { setTimeout as pause } from "node:timers/promises";
import type { EnduranceRun } from "./endurance-run.ts";
import { type Place, places, startPlace } from "./gateway-places.ts";

interface LimitTally {
  readonly place: Place;
  /** Calls a second that were made. */
  readonly offered: number;
  readonly admitted: number;
  readonly refused: number;
  /** Neither. */
  readonly lost: number;
  /** Of what the limit allows in that time, in per cent. */
  readonly share: number;
  /** Longest time in which the load itself stood still, in milliseconds: the machine's doing. */
  readonly stood: number;
}

const least = 97;
const most = 101;
const callers = 64;

async function runPlace(place: Place, limit: number, rate: number, seconds: number): Promise<LimitTally | undefined> {
  const rules = [{ subject: "tenant", requests_per_second: limit, shared_state_gone: "local-share" }];
  const gateways = await startPlace(place, rules);
  if (gateways === undefined) return undefined;
  const { urls } = gateways;
  const agents = Array.from({ length: callers }, () => new http.Agent({ keepAlive: true, maxSockets: 1 }));
  try {
    await Promise.all(agents.map((agent, index) => ask(urls[index % urls.length] ?? "", agent)));
    // The window of those first calls is over then.
    await pause(1_500);
    const statuses = new Map<number, number>();
    let made = 0;
    let stood = 0;
    let last = performance.now();
    const begin = last;
    const end = begin + seconds * 1_000;
    const call = async (index: number): Promise<void> => {
      const agent = agents[index] as http.Agent;
      for (;;) {
        const now = performance.now();
        stood = Math.max(stood, now - last);
        last = now;
        if (now >= end) return;
        // Its turn at the rate that is offered; who is late goes on at once.
        const due = begin + (made++ / rate) * 1_000;
        if (due > now) await pause(due - now);
        if (performance.now() >= end) return;
        const status = await ask(urls[index % urls.length] ?? "", agent);
        statuses.set(status, (statuses.get(status) ?? 0) + 1);
      }
    };
    await Promise.all(agents.map((_, index) => call(index)));
    const [admitted = 0, refused = 0] = [statuses.get(200), statuses.get(429)];
    const all = [...statuses.values()].reduce((sum, count) => sum + count, 0);
    return {
      place,
      offered: Math.round(all / seconds),
      admitted,
      refused,
      lost: all - admitted - refused,
      share: Math.round((admitted / (limit * seconds)) * 1_000) / 10,
      stood: Math.round(stood),
    };
  } finally {
    for (const agent of agents) agent.destroy();
    await gateways.close();
  }
}

const body = JSON.stringify({ model: "sim/echo", messages: [{ role: "user", content: "Hello" }] });

/** The status; 0 where there was none. */
function ask(url: string, agent: http.Agent): Promise<number> {
  return new Promise((resolve) => {
    const headers = { "content-type": "application/json" };
    const request = http.request(`${url}/v1/chat/completions`, { method: "POST", agent, headers }, (response) => {
      response
        .resume()
        .on("end", () => resolve(response.statusCode ?? 0))
        .on("error", () => resolve(0));
    });
    request.on("error", () => resolve(0)).end(body);
  });
}

export const limitsRun: EnduranceRun = {
  name: "limits",
  about: `A limit of requests a second is offered many times that. ${least} to ${most} % of it are admitted, nothing is lost.`,
  options: { limit: 100, rate: 1_000, seconds: 60 },
  async run({ limit = 1, rate = 1, seconds = 1 }, print) {
    const before = loadavg()[0]?.toFixed(1);
    const tallies: LimitTally[] = [];
    for (const place of places) {
      const tally = await runPlace(place, limit, rate, seconds);
      print(tally === undefined ? `${place}: skipped, there is no redis-server` : JSON.stringify(tally));
      if (tally !== undefined) tallies.push(tally);
    }
    return {
      passed: tallies.every(({ lost, share }) => lost === 0 && share >= least && share <= most),
      lines: [
        "| gateway | offered a second | admitted | refused | lost | % of the limit | longest standstill, ms |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
        ...tallies.map((tally) => `| ${Object.values(tally).join(" | ")} |`),
        "",
        `Load average of the machine before: ${before}; the load generator ran on it too.`,
      ],
    };
  },
};
