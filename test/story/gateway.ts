/** The whole gateway in this process, over real sockets, in front of a simulated upstream that keeps its own bill. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, vi } from "vitest";
import { startApp } from "../../src/app/start-app.ts";
import { loadConfig } from "../../src/config/load.ts";
import type { LogFields, Logger } from "../../src/core/log.ts";
import { type SimServer, startSim } from "../../src/sim/server/start-sim.ts";

/** One attempt as its log line tells it. */
export interface AttemptLine {
  readonly request_id: string;
  readonly target: string;
  readonly status: string;
  readonly error_reason?: string;
  readonly http_status?: number;
  readonly input_tokens?: number;
  readonly output_tokens?: number;
  readonly cache_read_tokens?: number;
  readonly usage_basis?: "provider" | "counted" | "estimated";
}

export interface Gateway {
  /** Data port. */
  readonly url: string;
  readonly adminUrl: string;
  readonly sim: SimServer;
  /** Every line that was logged. */
  readonly lines: readonly { readonly level: string; readonly message: string; readonly fields: LogFields }[];
  /** Attempts since the last reset, in the order in which they ended. */
  attempts(): AttemptLine[];
  /** Forgets attempts and the simulator's bill. */
  reset(): void;
  /** The simulator's bill and our records agree: exactly where the provider said its counts, nearly where we estimated. */
  expectBillsAgree(): Promise<void>;
  close(): Promise<void>;
}

export interface GatewayOptions {
  /** What a configuration file would say, beside ports and the simulator's providers. */
  readonly config?: { readonly providers?: object; readonly [section: string]: unknown };
  readonly corsOrigins?: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
  /** The same, for what depends on the simulator's address. */
  readonly configure?: (sim: SimServer) => GatewayOptions["config"];
  /** Settings of the three providers, for example timeouts. */
  readonly upstream?: object;
}

/** Configured providers of the three wire formats, all in front of one simulator. */
export async function startGateway(options: GatewayOptions = {}): Promise<Gateway> {
  const { corsOrigins = [], env = {}, upstream = {} } = options;
  const sim = await startSim({ port: 0 });
  const config = { ...options.config, ...options.configure?.(sim) };
  const directory = mkdtempSync(join(tmpdir(), "dragoman-story-"));
  const file = join(directory, "dragoman.json");
  const { server = {}, providers = {}, ...rest } = config as { server?: object; providers?: object };
  const written = {
    server: {
      listen: "127.0.0.1:0",
      listen_admin: "127.0.0.1:0",
      drain_notice_seconds: 0,
      drain_seconds: 2,
      cors: { origins: corsOrigins },
      ...server,
    },
    providers: {
      chat: { type: "openai", base_url: `${sim.url}/v1`, api_key: "sk-story-0001", ...upstream },
      claude: { type: "anthropic", base_url: sim.url, api_key: "sk-ant-story-0002", ...upstream },
      gem: { type: "gemini", base_url: `${sim.url}/v1beta`, api_key: "AIza-story-0003", ...upstream },
      ...providers,
    },
    discovery: { enabled: false },
    // How busy the test's machine is decides nothing here.
    admission: { overload: { event_loop_ms: 0 } },
    ...rest,
  };
  writeFileSync(file, JSON.stringify(written));
  const lines: { level: string; message: string; fields: LogFields }[] = [];
  const app = await startApp({ config: loadConfig({ file, env, cwd: directory }), env, log: collectInto(lines) });

  const attempts = () => lines.filter(({ message }) => message === "attempt").map(({ fields }) => fields as unknown as AttemptLine);
  return {
    url: app.dataUrl,
    adminUrl: app.adminUrl,
    sim,
    lines,
    attempts,
    reset() {
      lines.length = 0;
      sim.clear();
    },
    async expectBillsAgree() {
      await sim.settled();
      const rows = sim.bill();
      // A client may have its answer a moment before the record is closed.
      await vi.waitFor(() => expect(attempts().filter(reachedUpstream)).toHaveLength(rows.length), { timeout: 2_000, interval: 10 });
      const records = attempts().filter(reachedUpstream);
      for (const [index, row] of rows.entries()) expectAgreement(records[index] as AttemptLine, row);
    },
    async close() {
      await app.stop();
      await sim.close();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

function reachedUpstream({ http_status, usage_basis }: AttemptLine): boolean {
  return http_status !== undefined || usage_basis !== undefined;
}

function expectAgreement(record: AttemptLine, row: ReturnType<SimServer["bill"]>[number]): void {
  if (record.usage_basis === undefined) {
    // The provider refused: it bills nothing, and neither do we.
    expect({ input: row.inputTokens, output: row.outputTokens }).toEqual({ input: 0, output: 0 });
    return;
  }
  if (record.usage_basis === "provider") {
    expect({ input: record.input_tokens, output: record.output_tokens, cached: record.cache_read_tokens ?? 0 }).toEqual({
      input: row.inputTokens,
      output: row.outputTokens,
      cached: row.cacheReadTokens,
    });
    return;
  }
  // What the upstream sent into a socket that was closing is billed and never arrives: a few tokens either way.
  expectNear(record.output_tokens ?? 0, row.outputTokens);
  expectNear(record.input_tokens ?? 0, row.inputTokens);
}

function expectNear(ours: number, theirs: number): void {
  expect(Math.abs(ours - theirs)).toBeLessThanOrEqual(Math.max(8, theirs * 0.15));
}

function collectInto(lines: { level: string; message: string; fields: LogFields }[]): Logger {
  const at =
    (level: string) =>
    (message: string, fields: LogFields = {}) =>
      void lines.push({ level, message, fields });
  return { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") };
}
