/** The servers of a bench: the floor (nginx), the TypeScript peer (Portkey's gateway) and Dragoman. */
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { isAbsolute, join, resolve } from "node:path";
import { hasProgram, plainEnvironment, runProcess, startProcess } from "./processes.ts";
import {
  endOf,
  eventLoopDelayOf,
  freePort,
  type Ground,
  logFile,
  type Server,
  Skipped,
  startNode,
  type Variant,
  waitUntilUp,
} from "./servers.ts";

const project = resolve(import.meta.dirname, "../..");
const peersDirectory = join(import.meta.dirname, "peers");
const peerServer = join(peersDirectory, "node_modules/@portkey-ai/gateway/build/start-server.js");

function lastLine(text: string): string {
  return text.trim().split("\n").at(-1) ?? "";
}

// ---- nginx -----------------------------------------------------------------------------------------------------------

/** Buffering is off for chat, as for any proxy of streams; whole embeddings are passed on in large buffers. */
function nginxConfig(directory: string, port: number, upstreamPort: number): string {
  return `
worker_processes 1;
daemon off;
pid ${directory}/nginx.pid;
error_log stderr error;
events { worker_connections 4096; }
http {
  access_log off;
  client_body_temp_path ${directory}/nginx-body;
  proxy_temp_path ${directory}/nginx-proxy;
  fastcgi_temp_path ${directory}/nginx-fastcgi;
  uwsgi_temp_path ${directory}/nginx-uwsgi;
  scgi_temp_path ${directory}/nginx-scgi;
  client_body_buffer_size 256k;
  keepalive_requests 1000000000;
  tcp_nodelay on;
  upstream model { server 127.0.0.1:${upstreamPort}; keepalive 1024; keepalive_requests 1000000000; }
  server {
    listen 127.0.0.1:${port} backlog=1024;
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    location / { proxy_pass http://model; proxy_buffering off; }
    location /v1/embeddings { proxy_pass http://model; proxy_buffers 16 64k; proxy_buffer_size 64k; proxy_busy_buffers_size 128k; proxy_max_temp_file_size 0; }
  }
}
`;
}

/** Installs nginx where that starts nothing: a package's service begins to listen on port 80 where systemd runs. */
async function findNginx(): Promise<string> {
  const path = () => ["nginx", "/usr/sbin/nginx"].find((name) => hasProgram(name));
  const found = path();
  if (found !== undefined) return found;
  const advice = "install it to have a floor (Debian: apt-get install nginx-light)";
  if (process.getuid?.() !== 0 || !hasProgram("apt-get")) throw new Skipped(`nginx is not installed; ${advice}`);
  if (existsSync("/run/systemd/system")) throw new Skipped(`nginx is not installed, and installing would start its service; ${advice}`);
  console.log("installing nginx-light with apt-get ...");
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" } as Record<string, string>;
  const install = () => runProcess("apt-get", ["install", "-y", "--no-install-recommends", "nginx-light"], { timeoutMs: 90_000, env });
  if ((await install()).code !== 0) {
    await runProcess("apt-get", ["update"], { timeoutMs: 60_000, env });
    const { code, stderr } = await install();
    if (code !== 0) throw new Skipped(`apt-get could not install nginx-light: ${lastLine(stderr)}`);
  }
  const installed = path();
  if (installed === undefined) throw new Skipped(`nginx is not installed; ${advice}`);
  return installed;
}

export async function startNginx(ground: Ground): Promise<Server> {
  const program = await findNginx();
  const port = await freePort();
  const config = join(ground.directory, "nginx.conf");
  writeFileSync(config, nginxConfig(ground.directory, port, ground.upstreamPort));
  // Ends with the bench even where that is killed outright; the Node servers see it by their channel.
  const [command = program, ...before] = hasProgram("setpriv") ? ["setpriv", "--pdeathsig", "TERM", program] : [program];
  const child = startProcess(command, [...before, "-c", config, "-e", "stderr"], { core: ground.core, logFile: logFile(ground, "nginx") });
  const pid = await waitUntilUp(ground, "nginx", child, port);
  const said = execFileSync("sh", ["-c", `${program} -v 2>&1`], { encoding: "utf8" });
  return {
    name: "nginx",
    title: `nginx ${/nginx\/(\S+)/.exec(said)?.[1] ?? ""}`.trim(),
    port,
    ended: () => endOf(ground, "nginx", child),
    pid,
    headers: {},
    model: (name) => name,
    readEventLoopDelay: undefined,
  };
}

// ---- the peer --------------------------------------------------------------------------------------------------------

interface PackageFacts {
  readonly version?: string;
  readonly dependencies?: Readonly<Record<string, string>>;
}

function readPackage(path: string): PackageFacts {
  return existsSync(path) ? (JSON.parse(readFileSync(path, "utf8")) as PackageFacts) : {};
}

/** Installs the peers by their lockfile where they are missing or of another version; no install scripts run. */
async function installPeers(): Promise<string> {
  const name = "@portkey-ai/gateway";
  const wanted = readPackage(join(peersDirectory, "package.json")).dependencies?.[name];
  const installed = () => readPackage(join(peersDirectory, "node_modules", name, "package.json")).version;
  if (installed() !== wanted) {
    console.log("installing the peers with npm ci ...");
    const args = ["ci", "--prefix", peersDirectory, "--ignore-scripts", "--no-audit", "--no-fund"];
    const env = { ...process.env } as Record<string, string>;
    const { code, stderr } = await runProcess("npm", args, { timeoutMs: 120_000, cwd: peersDirectory, env });
    if (code !== 0 || installed() !== wanted) throw new Skipped(`npm ci of the peers failed: ${lastLine(stderr)}`);
  }
  return wanted ?? "";
}

export async function startPortkey(ground: Ground): Promise<Server> {
  const version = await installPeers();
  const port = await freePort();
  const child = startNode(ground, "portkey", [peerServer, `--port=${port}`, "--headless"], {}, peersDirectory);
  const pid = await waitUntilUp(ground, "portkey", child, port);
  return {
    name: "portkey",
    title: `Portkey ${version}`,
    port,
    ended: () => endOf(ground, "portkey", child),
    pid,
    headers: {
      authorization: "Bearer bench",
      "x-portkey-provider": "openai",
      "x-portkey-custom-host": `http://127.0.0.1:${ground.upstreamPort}/v1`,
    },
    model: (name) => name,
    readEventLoopDelay: eventLoopDelayOf(child),
  };
}

// ---- Dragoman --------------------------------------------------------------------------------------------------------

interface Equipment {
  /** For people. */
  readonly what: string;
  /** Sections beside the providers. */
  readonly config: object;
  /** Whether callers need a key: then one is made in the store. */
  readonly withKey?: boolean;
}

/** Nothing is kept and nothing counted but the ledger, which cannot be left out. */
const plain = { stores: { engine: "memory" }, request_log: { enabled: false }, telemetry: { metrics: { enabled: false } } };
/** Higher than any load reaches: what counting costs is the question, not what a refusal costs. */
const enough = 1_000_000_000;

const equipments: Readonly<Record<"dragoman" | Variant, Equipment>> = {
  dragoman: { what: "plain", config: plain },
  "dragoman-default": { what: "as it starts, in memory", config: { stores: { engine: "memory" } } },
  "dragoman-written": { what: "plain, no relay", config: { ...plain, facade: { relay: false } } },
  "dragoman-all-on": {
    what: "all on",
    config: {
      auth: { enabled: true },
      stores: { engine: "sqlite" },
      ledger: { journal: "os" },
      prices: [{ provider: "up", model: "bench*", rates: { input: "0.01", output: "0.04" } }],
      limits: {
        rules: [
          { subject: "key", requests_per_minute: enough, tokens_per_minute: enough * 1_000, concurrency: 100_000 },
          { subject: "tenant", usd_per_month: "1000000.00" },
        ],
      },
    },
    withKey: true,
  },
};

/** `main` is the file to start, relative to the project: its source, or what was built of it. */
export async function startDragoman(ground: Ground, main: string, name: "dragoman" | Variant = "dragoman"): Promise<Server> {
  const file = isAbsolute(main) ? main : join(project, main);
  if (!existsSync(file)) throw new Skipped(`there is no ${main}`);
  const { what, config, withKey = false } = equipments[name];
  const configFile = join(ground.directory, `${name}.json`);
  const data = join(ground.directory, `${name}-data`);
  mkdirSync(data, { recursive: true });
  const up = { type: "openai", base_url: `http://127.0.0.1:${ground.upstreamPort}/v1`, api_key: "bench" };
  writeFileSync(configFile, JSON.stringify({ providers: { up }, ...config }));
  const port = await freePort();
  const env = {
    PORT: String(port),
    ADMIN_PORT: String(await freePort()),
    DRAGOMAN_CONFIG: configFile,
    DRAGOMAN_DATA_DIR: data,
    // The others write no line per request either.
    LOG_LEVEL: "warn",
  };
  const authorization = withKey ? `Bearer ${await makeKey(file, env)}` : undefined;
  const child = startNode(ground, name, [file, "serve"], env, project);
  const pid = await waitUntilUp(ground, name, child, port);
  const version = readPackage(join(project, "package.json")).version ?? "";
  return {
    name,
    title: `Dragoman ${version} (${what})`,
    port,
    ended: () => endOf(ground, name, child),
    pid,
    headers: authorization === undefined ? {} : { authorization },
    model: (model) => `up/${model}`,
    readEventLoopDelay: eventLoopDelayOf(child),
  };
}

/** A key of the store, made as an operator makes one. */
async function makeKey(main: string, settings: Record<string, string>): Promise<string> {
  const env = { ...plainEnvironment(), ...settings };
  const { code, stdout, stderr } = await runProcess(process.execPath, [main, "keys", "create"], { timeoutMs: 15_000, cwd: project, env });
  if (code !== 0) throw new Skipped(`no key could be made: ${lastLine(stderr)}`);
  return stdout.trim();
}
