/** X1 (reliability.md 4.7): how long a refusal takes does not tell a wrong secret from an id that is not there. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { Agent, get } from "node:http";
import { loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { makeKeyParts, writeKey } from "../../src/access/key-format.ts";
import type { EnduranceRun } from "./endurance-run.ts";
import { startGatewayProcess } from "./gateway-process.ts";

const kinds = ["unknown id", "wrong secret"] as const;
type Kind = (typeof kinds)[number];

const mostPercent = 5;

export const keyTimingRun: EnduranceRun = {
  name: "key-timing",
  about: `Keys with an unknown id and keys with a wrong secret are refused in turn. The medians differ by ${mostPercent} % at most.`,
  options: { samples: 20_000, connections: 8 },
  async run({ samples = 1, connections = 1 }) {
    const load = loadavg()[0] ?? 0;
    const directory = mkdtempSync(join(tmpdir(), "dragoman-timing-"));
    const file = join(directory, "dragoman.json");
    const rootKey = "the-root-key-of-the-timing-run-0123456789";
    const server = { listen: "127.0.0.1:0", listen_admin: "127.0.0.1:0", drain_notice_seconds: 0, drain_seconds: 0 };
    const auth = { enabled: true, api_key: rootKey };
    const quiet = { discovery: { enabled: false }, local_embeddings: { enabled: false } };
    writeFileSync(file, JSON.stringify({ server, auth, data_dir: "data", stores: { engine: "sqlite" }, ...quiet }));
    const gateway = await startGatewayProcess(file);
    const agent = new Agent({ keepAlive: true, maxSockets: connections });
    try {
      const ids = await Promise.all(Array.from({ length: 50 }, () => makeKey(gateway.adminUrl, rootKey)));
      const credentialOf = (kind: Kind, index: number): string => {
        const parts = makeKeyParts("live");
        return writeKey(kind === "unknown id" ? parts : { ...parts, id: ids[index % ids.length] ?? "" });
      };
      const times: Record<Kind, number[]> = { "unknown id": [], "wrong secret": [] };
      let next = 0;
      const lane = async (): Promise<void> => {
        while (next < samples) {
          const index = next++;
          // In turn, so that whatever else the machine does falls on both.
          const kind = kinds[index % 2] ?? "unknown id";
          const spent = await refuse(`${gateway.url}/v1/models`, agent, credentialOf(kind, index));
          // The first ones find a program that is not warm yet.
          if (index >= samples / 20) times[kind].push(spent);
        }
      };
      await Promise.all(Array.from({ length: connections }, lane));
      const [unknown, wrong] = kinds.map((kind) => times[kind].toSorted((a, b) => a - b));
      const medians = [at(unknown, 0.5), at(wrong, 0.5)] as const;
      const percent = (Math.abs(medians[0] - medians[1]) / Math.min(...medians)) * 100;
      return {
        passed: percent <= mostPercent,
        lines: [
          "| refused for | samples | median, ms | p10, ms | p90, ms |",
          "| --- | ---: | ---: | ---: | ---: |",
          ...kinds.map((kind, index) => {
            const sorted = [unknown, wrong][index] ?? [];
            return `| ${kind} | ${sorted.length} | ${[0.5, 0.1, 0.9].map((share) => at(sorted, share).toFixed(3)).join(" | ")} |`;
          }),
          "",
          `The medians differ by ${percent.toFixed(2)} %. Load average of the machine before: ${load.toFixed(1)}.`,
        ],
      };
    } finally {
      agent.destroy();
      await gateway.kill();
      rmSync(directory, { recursive: true, force: true });
    }
  },
};

function at(sorted: readonly number[] = [], share: number): number {
  return sorted[Math.floor((sorted.length - 1) * share)] ?? Number.NaN;
}

/** The id of a new key. */
async function makeKey(adminUrl: string, rootKey: string): Promise<string> {
  const response = await fetch(`${adminUrl}/dragoman.admin.v1.KeyService/CreateKey`, {
    method: "POST",
    headers: { authorization: `Bearer ${rootKey}`, "content-type": "application/json" },
    body: JSON.stringify({ key: { name: "timed" } }),
  });
  const { key } = (await response.json()) as { key?: { id?: string } };
  if (key?.id === undefined) throw new Error(`no key was made: ${response.status}`);
  return key.id;
}

/** Milliseconds until the whole refusal is there. */
function refuse(url: string, agent: Agent, credential: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const begin = performance.now();
    get(url, { agent, headers: { authorization: `Bearer ${credential}` } }, (response) => {
      response.resume();
      response.on("end", () => {
        if (response.statusCode === 401) resolve(performance.now() - begin);
        else reject(new Error(`a wrong key got ${response.statusCode}`));
      });
    }).on("error", reject);
  });
}
