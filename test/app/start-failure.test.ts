/** A start that fails after most of it was opened. */
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { startApp } from "../../src/app/start-app.ts";
import { configSchema } from "../../src/config/schema.ts";
import { silentLog } from "../../src/core/log.ts";

const directory = mkdtempSync(join(tmpdir(), "dragoman-start-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

test("an address in use leaves nothing open: no journal, and no warning", async () => {
  const taken = createServer();
  const port = await new Promise<number>((resolve) => {
    taken.listen(0, "127.0.0.1", () => resolve((taken.address() as { port: number }).port));
  });
  const warnings: string[] = [];
  const note = (message: string) => void warnings.push(message);
  const log = { ...silentLog, warn: note, error: note };
  const config = (listen: string) =>
    configSchema.parse({
      server: { listen, listen_admin: "127.0.0.1:0", drain_notice_seconds: 0, drain_seconds: 1 },
      discovery: { enabled: false },
      data_dir: directory,
      stores: { engine: "sqlite" },
    });
  try {
    await expect(startApp({ config: config(`127.0.0.1:${port}`), env: {}, log })).rejects.toMatchObject({ code: "EADDRINUSE" });
    expect(warnings).toEqual([]);
    expect(readdirSync(join(directory, "journal"))).toEqual([]);
    const app = await startApp({ config: config("127.0.0.1:0"), env: {}, log });
    expect(readdirSync(join(directory, "journal"))).toHaveLength(1);
    await app.stop();
  } finally {
    await new Promise((resolve) => taken.close(resolve));
  }
});
