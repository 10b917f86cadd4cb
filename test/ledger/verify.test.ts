import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { systemClock } from "../../src/core/clock.ts";
import { silentLog } from "../../src/core/log.ts";
import type { Secret } from "../../src/core/secret.ts";
import type { Stores } from "../../src/core/stores.ts";
import { Journal } from "../../src/ledger/journal/journal.ts";
import { nodeJournalFiles } from "../../src/ledger/journal/journal-files.ts";
import { createOwnDirectory, disown } from "../../src/ledger/journal/journal-owner.ts";
import { segmentName } from "../../src/ledger/journal/segment.ts";
import { verifyLedger } from "../../src/ledger/verify.ts";
import { createStores } from "../../src/stores/create-stores.ts";
import { intentOf, settlementOf } from "./rows.ts";

let directory: string;
let stores: Stores;
beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), "dragoman-verify-"));
  stores = await createStores({
    engine: "memory",
    dataDir: directory,
    databaseUrl: undefined as Secret | undefined,
    poolSize: 1,
    migrateOnStart: false,
    responses: { maxBytes: 0, ttlMs: 1 },
    clock: systemClock,
    log: silentLog,
  });
});
afterEach(async () => {
  await stores.close();
  rmSync(directory, { recursive: true, force: true });
});

const verify = (ledger = stores.ledger) => verifyLedger({ journalRoot: directory, ledger, tenants: stores.tenants });
const epoch = "01ARZ3NDEKTSV4RRFFQ69G5FAV";

/** A journal with several segments, all of whose rows but `left` are over. */
async function writeJournal(left = 0): Promise<string> {
  const place = await createOwnDirectory(directory, epoch);
  const journal = await Journal.open({
    directory: place,
    epoch,
    mode: "os",
    files: nodeJournalFiles,
    segmentBytes: 8_192,
    maxBytes: 1 << 30,
    reserveBytes: 0,
    clock: systemClock,
    log: silentLog,
  });
  for (let count = 0; count < 30; count++) {
    const intent = intentOf();
    await journal.begin(intent);
    if (count >= left) journal.settle(settlementOf(intent.usageId));
  }
  await journal.close();
  return place;
}

describe("verification of the books", () => {
  test("rows, journals and sums that agree are in order", async () => {
    const intents = [intentOf(), intentOf(), intentOf()];
    await stores.ledger.append(intents.map((intent) => ({ ...intent, ...settlementOf(intent.usageId) })));
    await disown(await writeJournal());
    const { journals, tenants, problems } = await verify();
    expect(problems).toEqual([]);
    expect(tenants).toMatchObject([{ tenant: "default", rows: 3, costNano: 3n * 9_007_199_254_740_993n, unpriced: 0 }]);
    expect(journals).toMatchObject([{ name: epoch, alive: false, rows: 30, open: 0 }]);
    expect(journals[0]?.segments).toBeGreaterThan(2);
  });

  test("attempts under way are no problem while their process lives, and one when it is dead", async () => {
    const place = await writeJournal(2);
    expect(await verify()).toMatchObject({ problems: [], journals: [{ alive: true, open: 2 }] });
    await disown(place);
    expect((await verify()).problems).toEqual([expect.stringContaining("left 2 attempts open")]);
  });

  test("a changed byte, and a segment that is missing, break the chain", async () => {
    const place = await writeJournal();
    const path = join(place, segmentName(2));
    const bytes = readFileSync(path);
    const at = bytes.length - 20;
    bytes[at] = (bytes[at] as number) ^ 1;
    writeFileSync(path, bytes);
    expect((await verify()).problems).toEqual([
      expect.stringMatching(/segment 2: is damaged from byte \d+ to its end/),
      expect.stringMatching(/segment 3: does not continue segment 2/),
    ]);
    bytes[at] = (bytes[at] as number) ^ 1;
    bytes[200] = (bytes[200] as number) ^ 1;
    writeFileSync(path, bytes);
    expect((await verify()).problems).toEqual([
      expect.stringMatching(/segment 2: \d+ bytes from byte \d+ on are damaged/),
      expect.stringMatching(/segment 3: does not continue segment 2/),
    ]);
    rmSync(path);
    expect((await verify()).problems).toEqual([expect.stringMatching(/segment 3: does not continue segment 1/)]);
  });

  test("an open row of the store is named, and so are sums that lie", async () => {
    const open = intentOf();
    await stores.ledger.open([open]);
    expect((await verify()).problems).toEqual([expect.stringContaining(open.usageId)]);
    const over = intentOf();
    await stores.ledger.append([{ ...over, ...settlementOf(over.usageId) }]);
    const lying = {
      ...stores.ledger,
      sum: async (...asked: Parameters<typeof stores.ledger.sum>) =>
        (await stores.ledger.sum(...asked)).map((sum) => ({ ...sum, costNano: sum.costNano - 1n })),
    };
    expect((await verify(lying)).problems).toContainEqual(
      "tenant default: costNano of the rows is 9007199254740993, the store's sum says 9007199254740992",
    );
  });
});
