/** X17 and X18: secrets and prompts are planted everywhere, everything is done, and nothing that the gateway writes holds one. */
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import http from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { exportJWK, generateKeyPair, SignJWT } from "jose";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { type RunningApp, startApp } from "../../src/app/start-app.ts";
import { run } from "../../src/cli/run.ts";
import { loadConfig } from "../../src/config/load.ts";
import { type SimServer, startSim } from "../../src/sim/server/start-sim.ts";
import { createLogger } from "../../src/telemetry/log.ts";
import { type OtlpReceiver, startOtlpReceiver } from "../telemetry/otlp-receiver.ts";
import { type Canary, findCanaries, type Place } from "./canaries.ts";
import { type RepeatingUpstream, startRepeatingUpstream } from "./repeating-upstream.ts";

/** Not one looks like a key of a vendor, so that nothing is found by its looks alone; one does. */
const secret = {
  upstreamKey: "Kn8vXq2LmZr4TyWc7Bd5Hs1P",
  upstreamVendorKey: "sk-ant-Jw3Nf6Ua9Rk2Gx5Ve8Lo1Ci4",
  upstreamHeader: "Yb4Tz7Mq1Dw8Kp3Fh6Sg9Xn2",
  awsSecret: "Ud7Gk2Qz9Wn4Rb6Xe1Ht8Jm3",
  rootKey: "Pq5Ls8Vc2Nj7Ke4Zt1Ay6Bw9",
  fileKey: "Fx3Rm6Hb9Wd2Tq5Jg8Nk1Uz4",
  foreignKey: "Cz6Yp1Kw4Bs7Xv2Mh9Gt5Le8",
  wrongKey: "Oe9Ti4Dn7Qx2Zu5Rf8Cj1Wb6",
  databasePassword: "Hn2Bq7Ls4Gv9Ew1Pk6Yt3Mc8",
  redisPassword: "Wk1Jd6Xa3Uf8Zr5Cp2Nv7Hg4",
  collectorToken: "Rt8Mz3Vy6Lq1Bn4Hk9Js2Fd7",
  pepper: "Gx2Fn5Kb8Ws1Qm4Td7Pz3Yc6Hv9Jr0Lu",
  claim: "Zc5Qe8Nt1Rw4Mv7Dh2Kx9Bs6",
};
/** Content: in no file, log or trace, unless its retention says so. */
const content = {
  prompt: "promptVq7Ty2Nb9",
  system: "systemDk4Xw8Lm1",
  toolArgument: "argumentZp3Hs6Rj5",
  embedded: "embeddedGc1Uf9Wq4",
  toolResult: "resultMn8Bk2Xe7",
};
/** Of a call whose retention is metadata: taken out of its summaries. */
const inMetadata = { password: "Lw9Ca4Ym7Sx2Hp5Vt8Ek1Nq3", token: "sk-Qd6Zu1Gf4Rb7Jn2Xk9Tw5Mc8" };

const directory = mkdtempSync(join(tmpdir(), "dragoman-canaries-"));
const data = join(directory, "data");
const configFile = join(directory, "dragoman.json");
let sim: SimServer;
let repeating: RepeatingUpstream;
let receiver: OtlpReceiver;
let issuer: http.Server;
let app: RunningApp;
let log = "";
/** What stored keys and tokens hold that nobody may know. */
const issued: Canary[] = [];
/** Answers of the gateway: errors and admin procedures whole, good answers of models without what they are about. */
const answers: Place[] = [];

const listOf = (named: Readonly<Record<string, string>>): Canary[] => Object.entries(named).map(([name, value]) => ({ name, value }));

beforeAll(async () => {
  sim = await startSim({ port: 0 });
  repeating = await startRepeatingUpstream();
  receiver = await startOtlpReceiver();
  const { privateKey, publicKey } = await generateKeyPair("ES256");
  issuer = http.createServer(async (_, response) => {
    response.setHeader("content-type", "application/json");
    response.end(JSON.stringify({ keys: [{ ...(await exportJWK(publicKey)), kid: "one", use: "sig", alg: "ES256" }] }));
  });
  await new Promise<void>((resolve) => issuer.listen(0, "127.0.0.1", resolve));
  const issuerUrl = `http://127.0.0.1:${(issuer.address() as AddressInfo).port}`;
  const keyFile = join(directory, "keys");
  writeFileSync(keyFile, `${createHash("sha256").update(secret.fileKey).digest("hex")} *\n`);
  const headers = { "x-upstream-auth": secret.upstreamHeader };
  writeFileSync(
    configFile,
    JSON.stringify({
      server: { listen: "127.0.0.1:0", listen_admin: "127.0.0.1:0", drain_notice_seconds: 0, drain_seconds: 0 },
      data_dir: data,
      stores: { engine: "sqlite" },
      log_level: "trace",
      auth: {
        enabled: true,
        api_key: secret.rootKey,
        api_keys_file: keyFile,
        pepper: secret.pepper,
        oidc_issuer: issuerUrl,
        oidc_jwks_url: `${issuerUrl}/keys`,
        oidc_audience: ["dragoman"],
      },
      redis: { url: `redis://limiter:${secret.redisPassword}@127.0.0.1:1/0` },
      limits: { rules: [{ subject: "tenant", requests_per_minute: 100_000, shared_state_gone: "local-share" }] },
      request_log: { retention_default: "none", retention_max: "metadata", queue: { flush_ms: 10 } },
      providers: {
        chat: { type: "openai", base_url: `${sim.url}/v1`, api_key: secret.upstreamKey, headers },
        claude: { type: "anthropic", base_url: sim.url, api_key: secret.upstreamVendorKey, headers },
        gem: { type: "gemini", base_url: `${sim.url}/v1beta`, api_key: secret.upstreamKey, headers },
        badchat: { type: "openai", base_url: `${repeating.url}/v1`, api_key: secret.upstreamKey, headers },
        badclaude: { type: "anthropic", base_url: repeating.url, api_key: secret.upstreamVendorKey, headers },
        badgem: { type: "gemini", base_url: `${repeating.url}/v1beta`, api_key: secret.upstreamKey, headers },
        nowhere: { type: "openai", base_url: "http://127.0.0.1:1/v1", api_key: secret.upstreamKey, headers },
        badbedrock: {
          type: "bedrock",
          base_url: repeating.url,
          region: "eu-central-1",
          access_key_id: "AKIAIOSFODNN7EXAMPLE",
          secret_access_key: secret.awsSecret,
        },
      },
      discovery: { enabled: false },
      local_embeddings: { enabled: false },
      // How busy the test's machine is decides nothing here.
      admission: { overload: { event_loop_ms: 0 } },
    }),
  );
  const env = { OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url, OTEL_EXPORTER_OTLP_HEADERS: `authorization=${secret.collectorToken}` };
  const destination = { write: (line: string) => void (log += line) };
  app = await startApp({
    config: loadConfig({ file: configFile, env, cwd: directory }),
    env,
    log: createLogger({ level: "trace", destination }),
  });
  const sign = (payload: object, key = privateKey) =>
    new SignJWT({ email: secret.claim, ...payload })
      .setProtectedHeader({ alg: "ES256", kid: "one" })
      .setIssuer(issuerUrl)
      .setAudience("dragoman")
      .setSubject("somebody")
      .setExpirationTime("5m")
      .sign(key);
  const [good, wrong] = [await sign({}), await sign({}, (await generateKeyPair("ES256")).privateKey)];
  for (const [name, token] of [["token", good] as const, ["wrong token", wrong] as const]) {
    issued.push({ name: `signature of the ${name}`, value: token.split(".")[2] ?? "" });
  }
  tokens = { good, wrong };
});
afterAll(async () => {
  await app?.stop();
  await Promise.all([sim?.close(), repeating?.close(), receiver?.close()]);
  issuer?.close();
  rmSync(directory, { recursive: true, force: true });
});

let tokens = { good: "", wrong: "" };

async function ask(path: string, body: object | undefined, headers: Record<string, string> = {}, base = app.dataUrl): Promise<number> {
  const response = await fetch(base + path, {
    method: body === undefined ? "GET" : "POST",
    headers: { authorization: `Bearer ${secret.fileKey}`, "content-type": "application/json", ...headers },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = `${[...response.headers].join("\n")}\n${await response.text()}`;
  answers.push({ name: `${path} ${JSON.stringify(body)?.slice(0, 60)} (${response.status})`, text });
  return response.status;
}

const admin = async (procedure: string, body: object, key = secret.rootKey): Promise<Record<string, never>> => {
  const response = await fetch(`${app.adminUrl}/dragoman.admin.v1.${procedure}`, {
    method: "POST",
    headers: { authorization: `Bearer ${key}`, "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  const answer = (await response.json()) as Record<string, never> & { secret?: string };
  if (answer.secret !== undefined) issued.push({ name: `made by ${procedure}`, value: (answer.secret as string).split("_")[3] ?? "" });
  answers.push({ name: procedure, text: JSON.stringify({ ...answer, secret: undefined }) });
  return answer;
};

const tool = { name: "look", description: "looks", parameters: { type: "object", properties: { place: { type: "string" } } } };
const chat = (model: string, more: object = {}) => ({
  model,
  messages: [
    { role: "system", content: content.system },
    { role: "user", content: content.prompt },
    {
      role: "assistant",
      tool_calls: [
        { id: "call_1", type: "function", function: { name: "look", arguments: JSON.stringify({ place: content.toolArgument }) } },
      ],
    },
    { role: "tool", tool_call_id: "call_1", content: content.toolResult },
    { role: "user", content: content.prompt },
  ],
  tools: [{ type: "function", function: tool }],
  ...more,
});
const message = (model: string, more: object = {}) => ({
  model,
  max_tokens: 50,
  system: content.system,
  messages: [{ role: "user", content: content.prompt }],
  ...more,
});
const generate = {
  contents: [{ role: "user", parts: [{ text: content.prompt }] }],
  systemInstruction: { parts: [{ text: content.system }] },
};

const failures = [
  "status-400",
  "status-401",
  "status-403",
  "status-404",
  "status-429",
  "status-500",
  "html",
  "text",
  "junk",
  "stream",
  "junk-event",
  "cut",
];

describe("what is planted", () => {
  test("is used: calls on every surface succeed and fail in every way", async () => {
    for (const provider of ["chat", "claude", "gem"]) {
      for (const stream of [false, true]) {
        expect(await ask("/v1/chat/completions", chat(`${provider}/sim-echo`, { stream }))).toBe(200);
        expect(await ask("/v1/messages", message(`${provider}/sim-echo`, { stream }))).toBe(200);
        expect(await ask("/v1/responses", { model: `${provider}/sim-echo`, input: content.prompt, store: false, stream })).toBe(200);
        expect(await ask("/v1/completions", { model: `${provider}/sim-echo`, prompt: content.prompt, stream })).toBe(200);
      }
      expect(await ask(`/v1beta/models/${provider}/sim-echo:generateContent`, generate)).toBe(200);
    }
    expect(await ask("/v1/embeddings", { model: "gem/sim-embed", input: content.embedded })).toBe(200);
    for (const provider of ["badchat", "badclaude", "badgem", "badbedrock", "nowhere"]) {
      for (const failure of failures) {
        for (const stream of [false, true]) await ask("/v1/chat/completions", chat(`${provider}/${failure}`, { stream }));
        await ask("/v1/messages", message(`${provider}/${failure}`, { stream: true }));
        await ask(`/v1beta/models/${provider}/${failure}:generateContent`, generate);
        await ask("/dragoman.v1.InferenceService/Complete", {
          generate: { model: `${provider}/${failure}`, messages: [{ role: "ROLE_USER", parts: [{ text: content.prompt }] }] },
        });
      }
      await ask("/v1/embeddings", { model: `${provider}/status-500`, input: content.embedded });
    }
    await ask("/v1/chat/completions", { model: "chat/sim-echo", messages: content.prompt });
    await ask("/v1/chat/completions", chat("chat/sim-echo", { temperature: content.prompt }));
    expect(repeating.requests).toBeGreaterThan(100);
  }, 90_000);

  test("is used: credentials of every kind, good and wrong, in every place", async () => {
    expect(await ask("/v1/chat/completions", chat("chat/sim-echo"), { authorization: `Bearer ${tokens.good}` })).toBe(200);
    for (const key of [secret.wrongKey, tokens.wrong, `${secret.fileKey}x`]) {
      expect(await ask("/v1/chat/completions", chat("chat/sim-echo"), { authorization: `Bearer ${key}` })).toBe(401);
      expect(await ask("/v1/messages", message("chat/sim-echo"), { authorization: "", "x-api-key": key })).toBe(401);
    }
    expect(await ask(`/v1beta/models?key=${secret.wrongKey}`, undefined, { authorization: "" })).toBe(401);
    expect(await ask(`/v1beta/nothing?key=${secret.fileKey}`, undefined, { authorization: "" })).toBe(404);
    await ask("/dragoman.v1.InferenceService/ListModels", {}, { authorization: `Bearer ${secret.wrongKey}` });
    const made = (await admin("KeyService/CreateKey", { key: { name: "mine", roles: ["ACCESS_ROLE_ADMIN"] } })) as {
      key?: { id?: string };
    };
    await admin("KeyService/RotateKey", { id: made.key?.id });
    await admin("KeyService/ImportKeys", { keys: [{ secret: secret.foreignKey, key: { id: "old" } }] });
    expect(await ask("/v1/models", undefined, { authorization: `Bearer ${secret.foreignKey}` })).toBe(200);
    await admin("KeyService/CreateKey", { key: { name: "x", secret: secret.wrongKey } });
    // A key where an id belongs: its sender sees it again, nobody else.
    await admin("KeyService/GetKey", { id: secret.foreignKey });
    answers.pop();
    await admin("KeyService/ListKeys", {}, secret.wrongKey);
  }, 30_000);

  test("is used: a call whose summaries are kept", async () => {
    const said = `my password=${inMetadata.password} and my key ${inMetadata.token} please`;
    const headers = { "x-dragoman-retention": "metadata" };
    expect(await ask("/v1/chat/completions", { model: "chat/sim-echo", messages: [{ role: "user", content: said }] }, headers)).toBe(200);
    await ask("/v1/messages", { model: "badclaude/status-400", max_tokens: 9, messages: [{ role: "user", content: said }] }, headers);
    answers.splice(-2);
    await vi.waitFor(async () => {
      const { requests = [] } = (await admin("RequestLogService/ListRequests", { pageSize: 2 })) as { requests?: { requestId: string }[] };
      const contents = await Promise.all(requests.map(({ requestId }) => admin("RequestLogService/GetRequest", { requestId })));
      expect(JSON.stringify(contents).match(/my key \[REDACTED_SECRET\] please/g)).not.toBeNull();
    });
  }, 30_000);
});

describe("X17, X18: what is planted is found", () => {
  const everything = () => [...listOf(secret), ...listOf(inMetadata), ...issued];

  test("in no answer", async () => {
    for (const procedure of [
      "KeyService/ListKeys",
      "AuditService/ListAuditEntries",
      "RequestLogService/ListRequests",
      "AgentService/ListAgents",
    ]) {
      await admin(procedure, { pageSize: 1000 });
    }
    const { requests = [] } = (await admin("RequestLogService/ListRequests", { pageSize: 200 })) as { requests?: { requestId: string }[] };
    for (const { requestId } of requests.slice(0, 50)) await admin("RequestLogService/GetRequest", { requestId });
    await admin("UsageService/SumUsage", { query: { groupBy: ["USAGE_DIMENSION_MODEL", "USAGE_DIMENSION_KEY"] } });
    await admin("LimitService/GetLimitUsage", {});
    expect(answers.length).toBeGreaterThan(300);
    expect(findCanaries(answers, everything())).toEqual([]);
    const records = answers.filter(({ name }) => name.startsWith("RequestLogService"));
    expect(findCanaries(records, listOf(content))).toEqual([]);
  }, 30_000);

  test("in no metric, statistic or log line", async () => {
    const places: Place[] = [{ name: "the log", text: log }];
    for (const base of [app.dataUrl, app.adminUrl]) {
      for (const path of ["/metrics", "/statsz", "/healthz"]) places.push({ name: path, text: await (await fetch(base + path)).text() });
    }
    places.push({ name: "/readyz", text: await (await fetch(`${app.adminUrl}/readyz`)).text() });
    expect(log.split("\n").length).toBeGreaterThan(300);
    expect(findCanaries(places, [...everything(), ...listOf(content)])).toEqual([]);
  });

  test("in no span and no file, when the gateway has stopped", async () => {
    const before = readFiles();
    await app.stop();
    expect(receiver.spans.length).toBeGreaterThan(100);
    const spans = [{ name: "the spans", text: receiver.text }];
    const files = [...before, ...readFiles()];
    expect(files.some(({ name, text }) => name.includes("journal") && text.length > 0)).toBe(true);
    expect(files.some(({ text }) => text.startsWith("SQLite format 3"))).toBe(true);
    expect(findCanaries([...spans, ...files, { name: "the log", text: log }], [...everything(), ...listOf(content)])).toEqual([]);
  }, 30_000);
});

describe("the command line", () => {
  const shown = async (words: string[], env: NodeJS.ProcessEnv = {}, cwd = directory) => {
    let text = "";
    const write = (piece: string) => void (text += piece);
    const code = await run(words, { write, writeError: write, color: false, env, cwd });
    return { code, text };
  };

  test("shows a configuration without its secrets", async () => {
    const env = {
      DATABASE_URL: `postgres://gateway:${secret.databasePassword}@127.0.0.1:1/x`,
      ANTHROPIC_API_KEY: secret.upstreamVendorKey,
    };
    for (const words of [
      ["config", "show", configFile],
      ["config", "show", "--json", configFile],
      ["config", "check", configFile],
    ]) {
      const { code, text } = await shown(words, env);
      expect(code).toBe(0);
      expect(findCanaries([{ name: words.join(" "), text }], listOf(secret))).toEqual([]);
    }
    const { text } = await shown(["keys", "list", "--json", "--config", configFile]);
    expect(text).toContain("mine");
    expect(findCanaries([{ name: "keys list", text }], [...listOf(secret), ...issued])).toEqual([]);
  });

  const value = secret.upstreamKey;
  test.each<[string, string, string]>([
    ["a wrong type beside it", "a.json", JSON.stringify({ providers: { x: { type: "openai", api_key: [value], timeout: 1 } } })],
    ["an unknown field", "a.json", JSON.stringify({ providers: { x: { type: "openai", api_key: value, apikey: value } } })],
    ["broken JSON", "a.json", `{"auth": {"api_key": "${value}" "x"}}`],
    ["broken YAML", "a.yaml", `auth:\n  api_key: "${value}\n  x: [`],
    ["a tab in YAML", "a.yaml", `auth:\n\tapi_key: ${value}\n`],
    ["a key twice in YAML", "a.yaml", `auth:\n  api_key: ${value}\n  api_key: ${value}\n`],
    ["broken TOML", "a.toml", `[auth]\napi_key = ${value}\n`],
    ["an address that is none", "a.json", JSON.stringify({ redis: { url: `http://user:${value}@host` } })],
    ["a database that is none", "a.json", JSON.stringify({ stores: { database_url: `mysql://user:${value}@host/x` } })],
    [
      "an upstream with a password",
      "a.json",
      JSON.stringify({ providers: { x: { type: "openai", base_url: `https://user:${value}@host/v1` } } }),
    ],
    ["a header that is none", "a.json", JSON.stringify({ providers: { x: { type: "openai", headers: { "x-auth": `${value}\n` } } } })],
    ["an address of keys", "a.json", JSON.stringify({ auth: { oidc_issuer: `ftp://user:${value}@host` } })],
  ])("refuses a configuration with %s, and does not repeat it", async (_, name, text) => {
    const file = join(directory, name);
    writeFileSync(file, text);
    const { code, text: said } = await shown(["config", "check", file]);
    expect(code).not.toBe(0);
    expect(findCanaries([{ name: "config check", text: said }], listOf(secret))).toEqual([]);
  });

  test("ends a process without telling why in secrets", async () => {
    const port = (issuer.address() as AddressInfo).port;
    const url = `postgres://gateway:${secret.databasePassword}@`;
    const outputs = await Promise.all([
      serve("away", { DATABASE_URL: `${url}127.0.0.1:1/x?sslmode=disable` }),
      serve("no address", { DATABASE_URL: `${url}[::x]:99999999/x` }),
      serve("taken", { DRAGOMAN_API_KEY: secret.rootKey, REDIS_URL: `redis://:${secret.redisPassword}@127.0.0.1:1` }, port),
    ]);
    for (const { text } of outputs) expect(text).not.toBe("");
    expect(findCanaries(outputs, listOf(secret))).toEqual([]);
  }, 30_000);

  /** What a gateway prints that cannot work; one that hopes on is ended. */
  async function serve(name: string, env: NodeJS.ProcessEnv, port = 0): Promise<Place> {
    const file = join(directory, `${name}.json`);
    const server = { listen: `127.0.0.1:${port}`, listen_admin: "127.0.0.1:0" };
    writeFileSync(file, JSON.stringify({ server, data_dir: join(directory, name), discovery: { enabled: false }, log_level: "trace" }));
    const { PATH = "", HOME = "" } = process.env;
    const main = join(import.meta.dirname, "../../src/main.ts");
    const child = spawn(process.execPath, [main, "serve", "--config", file], { env: { PATH, HOME, ...env } });
    let text = "";
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", (piece: string) => (text += piece));
    const timer = setTimeout(() => child.kill("SIGKILL"), 10_000);
    await new Promise((resolve) => child.once("exit", resolve));
    clearTimeout(timer);
    return { name, text };
  }
});

function readFiles(): Place[] {
  return (
    readdirSync(data, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map(({ parentPath, name }) => join(parentPath, name))
      // What hashes keys is a secret of its own, and stands in a file of its own where none is configured.
      .map((file) => ({ name: file.slice(data.length), text: readFileSync(file, "latin1") }))
  );
}
