/** The servers of a bench: the floor (nginx), the TypeScript peer (Portkey's gateway) and Dragoman. */
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { isAbsolute, join, resolve } from "node:path";
import { hasProgram, runProcess, startProcess } from "./processes.ts";
import { endOf, eventLoopDelayOf, freePort, type Ground, logFile, type Server, Skipped, startNode, waitUntilUp } from "./servers.ts";

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
    speaksGrpc: false,
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
    speaksGrpc: false,
    readEventLoopDelay: eventLoopDelayOf(child),
  };
}

// ---- Dragoman --------------------------------------------------------------------------------------------------------

/** `main` is the file to start, relative to the project: its source, or what was built of it. */
export async function startDragoman(ground: Ground, main: string): Promise<Server> {
  const file = isAbsolute(main) ? main : join(project, main);
  if (!existsSync(file)) throw new Skipped(`there is no ${main}`);
  const config = join(ground.directory, "dragoman.yaml");
  const data = join(ground.directory, "data");
  mkdirSync(data, { recursive: true });
  writeFileSync(config, `providers:\n  up: { type: openai, base_url: "http://127.0.0.1:${ground.upstreamPort}/v1", api_key: "bench" }\n`);
  const port = await freePort();
  const env = {
    PORT: String(port),
    ADMIN_PORT: String(await freePort()),
    DRAGOMAN_CONFIG: config,
    DRAGOMAN_DATA_DIR: data,
    // The others write no line per request either.
    LOG_LEVEL: "warn",
  };
  const child = startNode(ground, "dragoman", [file, "serve"], env, project);
  const pid = await waitUntilUp(ground, "dragoman", child, port);
  return {
    name: "dragoman",
    title: `Dragoman ${readPackage(join(project, "package.json")).version ?? ""}`.trim(),
    port,
    ended: () => endOf(ground, "dragoman", child),
    pid,
    headers: {},
    model: (name) => `up/${name}`,
    speaksGrpc: true,
    readEventLoopDelay: eventLoopDelayOf(child),
  };
}
