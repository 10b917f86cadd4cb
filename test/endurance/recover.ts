/** Promise 10 (reliability.md 1): a gateway that finds the journal of a dead one serves at once, and settles it beside its work. */
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "../../src/core/clock.ts";
import { ulid } from "../../src/core/id.ts";
import { silentLog } from "../../src/core/log.ts";
import { Journal } from "../../src/ledger/journal/journal.ts";
import { nodeJournalFiles } from "../../src/ledger/journal/journal-files.ts";
import { createOwnDirectory, disown } from "../../src/ledger/journal/journal-owner.ts";
import { journalRoot } from "../../src/ledger/open-ledger.ts";
import { createStores } from "../../src/stores/create-stores.ts";
import { intentOf, settlementOf } from "../ledger/rows.ts";
import type { EnduranceRun } from "./endurance-run.ts";
import { startGatewayProcess } from "./gateway-process.ts";

/** How much longer than with no journal a start may take. */
const mostExtraMs = 3_000;
const settleMs = 1_800_000;
/** Records that are under way at once while the journal is made. */
const step = 5_000;

export const recoverRun: EnduranceRun = {
  name: "recover",
  about: "A gateway starts on the journal of one that died. It answers within 3 s more than without one, and every row arrives.",
  options: { rows: 1_000_000, open: 1_000 },
  async run({ rows = 1, open = 1 }, print) {
    const directory = mkdtempSync(join(tmpdir(), "dragoman-recover-"));
    const data = join(directory, "data");
    const config = join(directory, "dragoman.json");
    const server = { listen: "127.0.0.1:0", listen_admin: "127.0.0.1:0", drain_notice_seconds: 0 };
    writeFileSync(
      config,
      JSON.stringify({ server, data_dir: data, ledger: { reserve_bytes: 0 }, discovery: { enabled: false }, log_level: "error" }),
    );
    try {
      const bare = await measureStart(config);
      await bare.gateway.stop();
      print(`a start without a journal takes ${bare.ms} ms`);
      const bytes = await leaveJournal(data, rows, open);
      print(`a journal of ${rows} rows has ${Math.round(bytes / 2 ** 20)} MiB`);
      const begin = performance.now();
      const { gateway, ms } = await measureStart(config);
      print(`a start on it takes ${ms} ms`);
      while (readdirSync(journalRoot(data)).length > 1 && performance.now() - begin < settleMs)
        await new Promise((resolve) => setTimeout(resolve, 100));
      const settledMs = Math.round(performance.now() - begin);
      await gateway.stop();
      const { stored, left } = await countRows(data);
      print(`settled after ${settledMs} ms: ${stored} rows, ${left} open`);
      return {
        passed: ms - bare.ms <= mostExtraMs && stored === rows && left === 0,
        lines: [
          "| rows | of them open | journal | start without | start with | settled after | rows in the store | open |",
          "| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
          `| ${rows} | ${open} | ${Math.round(bytes / 2 ** 20)} MiB | ${bare.ms} ms | ${ms} ms | ${settledMs} ms | ${stored} | ${left} |`,
        ],
      };
    } finally {
      rmSync(directory, { recursive: true, force: true });
    }
  },
};

async function measureStart(config: string) {
  const begin = performance.now();
  const gateway = await startGatewayProcess(config);
  await fetch(`${gateway.url}/healthz`);
  return { gateway, ms: Math.round(performance.now() - begin) };
}

/** Gives its bytes. */
async function leaveJournal(data: string, rows: number, open: number): Promise<number> {
  const epoch = ulid();
  const directory = await createOwnDirectory(journalRoot(data), epoch);
  const options = { directory, epoch, mode: "os", files: nodeJournalFiles, reserveBytes: 0, clock: systemClock, log: silentLog } as const;
  const journal = await Journal.open({ ...options, segmentBytes: 67_108_864, maxBytes: 2 ** 40 });
  for (let done = 0; done < rows; done += step) {
    const intents = Array.from({ length: Math.min(step, rows - done) }, () => intentOf({ epoch }));
    await Promise.all(intents.map((intent) => journal.begin(intent)));
    for (const [index, { usageId }] of intents.entries())
      if (done + index >= open) journal.settle(settlementOf(usageId, { costNano: 1n, chargeNano: 1n }));
  }
  await journal.flush();
  const { bytes } = journal;
  await journal.close();
  await disown(directory);
  return bytes;
}

async function countRows(data: string): Promise<{ stored: number; left: number }> {
  const store = await createStores({
    engine: "sqlite",
    dataDir: data,
    databaseUrl: undefined,
    poolSize: 1,
    migrateOnStart: false,
    responses: { maxBytes: 0, ttlMs: 1 },
    clock: systemClock,
    log: silentLog,
  });
  try {
    const [sum] = await store.ledger.sum("default", {}, { by: [] });
    const { items } = await store.ledger.openRows(undefined, { size: 1_000 });
    return { stored: sum?.attempts ?? 0, left: items.length };
  } finally {
    await store.close();
  }
}
