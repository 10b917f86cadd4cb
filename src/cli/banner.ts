/** What `serve` says once it listens: where, with what, and two lines that work when pasted. */
import type { RunningApp } from "../app/start-app.ts";
import { paint, type Terminal, table } from "./terminal.ts";

export interface BannerFacts {
  readonly version: string;
  readonly app: Pick<RunningApp, "dataUrl" | "adminUrl" | "providers" | "localServers" | "authEnabled">;
  /** Whether `buf curl` can ask the server for its schema. */
  readonly reflection: boolean;
  readonly discovery: boolean;
  /** Processes that serve; 1 where it is left out. */
  readonly workers?: number;
}

export function banner({ version, app, reflection, discovery, workers = 1 }: BannerFacts, terminal: Pick<Terminal, "color">): string {
  const title = (text: string) => paint("bold", text, terminal);
  const ports = [
    ["  data ", app.dataUrl, paint("dim", "gRPC, gRPC-Web, Connect; OpenAI, Anthropic and Google over HTTP", terminal)],
    ["  admin", app.adminUrl, paint("dim", "admin RPCs: keys, limits, usage, log; /metrics, /readyz", terminal)],
  ];
  const providers = app.providers.map(({ name, note, models }) => [`  ${name}`, models === 1 ? "1 model" : `${models} models`, note]);
  const lines = [
    title(workers === 1 ? `dragoman ${version}` : `dragoman ${version}, ${workers} workers`),
    table(ports),
    "",
    title("providers"),
    providers.length === 0 ? "  none: set a vendor's key, such as OPENAI_API_KEY, or write a configuration" : table(providers),
    ...(discovery && app.localServers.length === 0
      ? [paint("dim", "  no local server found (Ollama, llama.cpp, vLLM, LM Studio)", terminal)]
      : []),
    "",
    app.authEnabled
      ? "auth is on: callers need an API key"
      : paint("yellow", "auth is off: loopback only; set DRAGOMAN_API_KEY to serve other machines", terminal),
    "",
    title("try it"),
    `  ${curlLine(app)}`,
    "",
    `  ${bufLine(app, reflection)}`,
    "",
  ];
  return lines.join("\n");
}

/** How the first administrator gets in. */
export function firstKeyNote(key: string): string {
  return `There was no key yet, so here is one for an administrator. It is shown now and never again; keep it, or revoke it\nwhen there are others (\`dragoman keys create\`, \`dragoman keys revoke\`):\n\n  ${key}\n`;
}

/** `sim/echo` is always there unless it was switched off. */
function modelOf({ providers }: BannerFacts["app"]): string {
  return providers.some(({ name }) => name === "sim") ? "sim/echo" : "PROVIDER/MODEL";
}

function curlLine(app: BannerFacts["app"]): string {
  const body = JSON.stringify({ model: modelOf(app), messages: [{ role: "user", content: "Hello" }] });
  return `curl -s ${reachable(app.dataUrl)}/v1/chat/completions -H 'content-type: application/json'${authorization(app)} -d '${body}'`;
}

function bufLine(app: BannerFacts["app"], reflection: boolean): string {
  const body = JSON.stringify({ model: modelOf(app), messages: [{ role: "ROLE_USER", parts: [{ text: "Hello" }] }] });
  const url = reachable(app.dataUrl);
  const plaintext = url.startsWith("http:") ? " --http2-prior-knowledge" : "";
  const schema = reflection ? "" : " --schema proto";
  return `npx buf curl${plaintext} --protocol grpc${schema}${authorization(app)} -d '${body}' ${url}/dragoman.v1.InferenceService/Generate`;
}

/** In double quotes, so that the shell fills the key in; it is never printed. */
function authorization({ authEnabled }: BannerFacts["app"]): string {
  return authEnabled ? ' -H "authorization: Bearer $DRAGOMAN_API_KEY"' : "";
}

/** Every address is no address to call: this machine's own is. */
function reachable(url: string): string {
  return url.replace("//0.0.0.0:", "//127.0.0.1:").replace("//[::]:", "//[::1]:");
}
