/** A stop that is to hurry, while a stream is read on whose client has left. */
import { afterEach, expect, test, vi } from "vitest";
import { type RunningApp, startApp } from "../../src/app/start-app.ts";
import { configSchema } from "../../src/config/schema.ts";
import { silentLog } from "../../src/core/log.ts";
import { startSim } from "../../src/sim/server/start-sim.ts";

let close: (() => Promise<unknown>) | undefined;
afterEach(() => close?.());

async function start(): Promise<{ app: RunningApp; lines: (message: string) => readonly unknown[] }> {
  const sim = await startSim({ port: 0 });
  const logged: { readonly message: string; readonly fields: unknown }[] = [];
  const info = (message: string, fields?: unknown) => void logged.push({ message, fields });
  const config = configSchema.parse({
    server: { listen: "127.0.0.1:0", listen_admin: "127.0.0.1:0", drain_notice_seconds: 0 },
    discovery: { enabled: false },
    stores: { engine: "memory" },
    providers: { sim: { type: "openai", base_url: `${sim.url}/v1`, api_key: "sk-sim-0000", on_disconnect: "drain" } },
    ledger: { drain: { seconds: 600 } },
  });
  const app = await startApp({ config, env: {}, log: { ...silentLog, info } });
  close = () => sim.close();
  const lines = (wanted: string) => logged.flatMap(({ message, fields }) => (message === wanted ? [fields] : []));
  return { app, lines };
}

test("the second word ends what is read on for its counts, and its row is written", async () => {
  const { app, lines } = await start();
  const script = {
    sim_script: { steps: [{ text: "some words come at once " }, { delay_ms: 60_000 }, { text: "and nobody hears the others" }] },
  };
  const leave = new AbortController();
  const response = await fetch(`${app.dataUrl}/v1/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ model: "sim/sim-script", stream: true, messages: [{ role: "user", content: JSON.stringify(script) }] }),
    signal: leave.signal,
  });
  await response.body?.getReader().read();
  leave.abort();
  await vi.waitFor(() => expect(lines("call failed")).toHaveLength(1));
  const first = app.stop();
  expect(lines("attempt")).toEqual([]);
  await Promise.all([first, app.stop()]);
  expect(lines("attempt")).toMatchObject([{ status: "cancelled", usage_basis: "estimated" }]);
}, 30_000);
