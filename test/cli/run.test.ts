import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, describe, expect, test } from "vitest";
import { parse } from "yaml";
import { explainListenFailure } from "../../src/cli/explain-listen-failure.ts";
import { run } from "../../src/cli/run.ts";
import { version } from "../../src/version.ts";
import { temporaryDirectory } from "../config/temporary.ts";

const directory = temporaryDirectory();

/** Runs a command in this process; what it wrote, and its exit code. */
async function dragoman(line: string, env: NodeJS.ProcessEnv = {}): Promise<{ code: number; out: string; error: string }> {
  let out = "";
  let error = "";
  const terminal = {
    write: (text: string) => void (out += text),
    writeError: (text: string) => void (error += text),
    color: false,
    env,
    cwd: directory.path,
  };
  const code = await run(line === "" ? [] : line.split(" "), terminal);
  return { code, out, error };
}

describe("help", () => {
  test("names every command", async () => {
    const { code, out, error } = await dragoman("--help");
    expect({ code, error }).toEqual({ code: 0, error: "" });
    for (const name of ["serve", "sim", "usage", "requests", "limits list", "config check", "config show", "config schema", "models"])
      expect(out).toMatch(new RegExp(`^  ${name} {2,}\\S`, "m"));
    for (const line of out.split("\n")) expect(line.length).toBeLessThanOrEqual(100);
  });
  test.each(["serve", "sim", "config check", "config show", "config schema", "models"])(
    "%s --help tells its usage, and help %s the same",
    async (name) => {
      const { code, out } = await dragoman(`${name} --help`);
      expect(code).toBe(0);
      expect(out).toContain(`Usage: dragoman ${name} `);
      expect(await dragoman(`help ${name}`)).toMatchObject({ code: 0, out });
      expect(await dragoman(`${name} -h`)).toMatchObject({ code: 0, out });
    },
  );
  test("serve's flags", async () => {
    const { out } = await dragoman("serve --help");
    for (const flag of ["host", "port", "admin-host", "admin-port", "config", "log-level"]) expect(out).toContain(`--${flag} `);
  });
  test("version", async () => {
    expect(version).toMatch(/^\d+\.\d+\.\d+/);
    expect(await dragoman("--version")).toEqual({ code: 0, out: `dragoman ${version}\n`, error: "" });
  });
});

describe("wrong arguments are exit code 64, with what was meant", () => {
  test.each([
    ["srve", 'unknown command "srve"; did you mean "serve"?'],
    ["frobnicate", 'unknown command "frobnicate"; there are serve, sim, keys, limits, usage, requests, config, models'],
    ["serve --prot 1", 'unknown option --prot; did you mean "--port"?'],
    ["--prot 1", 'unknown option --prot; did you mean "--port"?'],
    ["serve -p 1", "unknown option -p"],
    ["serve --port", "--port needs a value: --port PORT"],
    ["serve now", 'unexpected argument "now"'],
    ["models --json=yes", "--json takes no value"],
    ["config", '"dragoman config" needs a command: check, show, schema'],
    ["config chekc", 'unknown command "config chekc"; did you mean "check"?'],
    ["config check a.yaml b.yaml", 'unexpected argument "b.yaml"'],
    ["sim --port http", '--port takes a number from 0, not "http"'],
    ["models --url nowhere", "--url takes an http or https URL, such as http://127.0.0.1:8080"],
  ])("dragoman %s", async (line, message) => {
    const { code, out, error } = await dragoman(line);
    expect({ code, out }).toEqual({ code: 64, out: "" });
    expect(error).toContain(`dragoman: ${message}`);
  });
});

describe("config", () => {
  test("check: fine, wrong, absent, unsafe", async () => {
    directory.write("good.yaml", "routes: { a: { targets: [ { provider: sim, model: echo } ] } }");
    directory.write("bad.yaml", "server:\n  listn: x\nproviders: { mine: {} }\n");
    expect(await dragoman("config check good.yaml")).toEqual({ code: 0, out: "good.yaml is fine\n", error: "" });
    expect(await dragoman("config check")).toMatchObject({ code: 0, out: "the default configuration is fine\n" });
    const bad = await dragoman("config check", { DRAGOMAN_CONFIG: "bad.yaml" });
    expect(bad).toMatchObject({ code: 78, out: "" });
    expect(bad.error.split("\n")).toEqual([
      "The configuration has 2 problems:",
      '  bad.yaml:2:3: server.listn: is not a known key; did you mean "listen"?',
      "  bad.yaml:3:14: providers.mine: is no known vendor and has no type; add `type: openai-compatible` for any OpenAI-compatible server",
      "",
    ]);
    expect(await dragoman("config check nowhere.yaml")).toMatchObject({ code: 74 });
    expect(await dragoman("config check", { HOST: "0.0.0.0" })).toMatchObject({ code: 78, error: expect.stringContaining("auth is off") });
  });
  test("a vendor counts as configured when its variable is set", async () => {
    directory.write("vendor.yaml", "aliases: { fast: anthropic/claude }");
    expect(await dragoman("config check vendor.yaml", { ANTHROPIC_API_KEY: "sk-ant-1" })).toMatchObject({ code: 0 });
    expect(await dragoman("config check vendor.yaml")).toMatchObject({
      code: 78,
      error: expect.stringContaining('names the provider "anthropic", which has no key'),
    });
  });
  test("show prints what holds, secrets masked, in the file's form", async () => {
    const env = { DRAGOMAN_API_KEY: "canary-0123456789abcdef", PORT: "81" };
    const { code, out } = await dragoman("config show", env);
    expect(code).toBe(0);
    expect(out).not.toContain("canary");
    expect(parse(out)).toMatchObject({ server: { listen: "127.0.0.1:81" }, auth: { enabled: true, api_key: "[secret]" } });
    expect(JSON.parse((await dragoman("config show --json", env)).out)).toEqual(parse(out));
    directory.write("shown.yaml", (await dragoman("config show")).out);
    expect(await dragoman("config check shown.yaml")).toMatchObject({ code: 0 });
  });
});

describe("models", () => {
  let server: ReturnType<typeof createServer> | undefined;
  afterEach(() => server?.close());

  /** A data port that answers as told and remembers what it was asked. */
  async function gateway(answer: (body: string) => { status: number; body: unknown }) {
    const asked: { url: string | undefined; key: string | undefined; body: string }[] = [];
    server = createServer(async (request, response) => {
      let body = "";
      for await (const piece of request) body += piece;
      asked.push({ url: request.url, key: request.headers.authorization, body });
      const { status, body: reply } = answer(body);
      response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(reply));
    });
    await new Promise<void>((resolve) => server?.listen(0, "127.0.0.1", resolve));
    return { asked, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` };
  }

  const echo = { id: "echo", kinds: ["MODEL_KIND_GENERATE"], providers: ["sim"], contextWindow: 1_000_000 };
  const smart = { id: "smart", isRoute: true, routingStrategy: "fallback", providers: ["openai", "mine"], kinds: ["MODEL_KIND_GENERATE"] };

  test("a table of every page, asked with the key", async () => {
    const { asked, url } = await gateway((body) => ({
      status: 200,
      body: body === "{}" ? { models: [smart], nextPageToken: "2" } : { models: [echo] },
    }));
    const { code, out } = await dragoman(`models --url ${url}`, { DRAGOMAN_API_KEY: "secret" });
    expect(code).toBe(0);
    expect(out.split("\n").map((line) => line.split(/ {2,}/))).toEqual([
      ["MODEL", "KIND", "PROVIDER", "CONTEXT"],
      ["smart", "generate", "fallback of openai,mine", "-"],
      ["echo", "generate", "sim", "1000000"],
      [""],
    ]);
    expect(asked.map(({ url: path, key }) => [path, key])).toEqual(
      Array(2).fill(["/dragoman.v1.InferenceService/ListModels", "Bearer secret"]),
    );
    expect(asked[1]?.body).toBe('{"pageToken":"2"}');
  });
  test("--json gives what the gateway said; PORT names it", async () => {
    const { url } = await gateway(() => ({ status: 200, body: { models: [echo] } }));
    expect(JSON.parse((await dragoman("models --json", { PORT: new URL(url).port })).out)).toEqual([echo]);
  });
  test.each([
    [401, { code: "unauthenticated" }, "wants a valid API key; set DRAGOMAN_API_KEY or give --key"],
    [503, { code: "unavailable", message: "draining" }, "answered with HTTP 503: draining"],
    [200, ["x"], "answered with HTTP 200; is it a Dragoman data port?"],
  ])("an answer %s is exit code 69 with its reason", async (status, body, message) => {
    const { url } = await gateway(() => ({ status, body: status === 200 ? "text" : body }));
    expect(await dragoman(`models --url ${url}`)).toMatchObject({ code: 69, out: "", error: expect.stringContaining(message) });
  });
  test("nobody there is exit code 69 and says how to start one", async () => {
    const { url } = await gateway(() => ({ status: 200, body: {} }));
    await new Promise((resolve) => server?.close(resolve));
    const { code, error } = await dragoman(`models --url ${url}`);
    expect(code).toBe(69);
    expect(error).toBe(`dragoman: no gateway answers at ${url} (ECONNREFUSED); start one with \`dragoman serve\`, or name it with --url\n`);
  });
});

describe("an address that cannot be had", () => {
  const server = { listen: { host: "127.0.0.1", port: 8080 }, listen_admin: { host: "::1", port: 9091 } };
  const listen = (code: string, port: number) => Object.assign(new Error(code), { code, syscall: "listen", port });
  const explain = (error: Error) => explainListenFailure(error, { server: server as Parameters<typeof explainListenFailure>[1]["server"] });

  test.each([
    ["EADDRINUSE", 8080, "the data port 127.0.0.1:8080 is in use; end the other program, or choose another port with --port 8081 or PORT"],
    [
      "EADDRINUSE",
      9091,
      "the admin port [::1]:9091 is in use; end the other program, or choose another port with --admin-port 9092 or ADMIN_PORT",
    ],
    ["EACCES", 8080, "the data port 127.0.0.1:8080 may not be bound by this user; choose a port from 1024 on with --port 8081 or PORT"],
    ["EADDRNOTAVAIL", 9091, "this machine has no such address; choose one it has with --admin-host or ADMIN_HOST"],
  ])("%s on %i", (code, port, message) => {
    expect(explain(listen(code, port))).toMatchObject({ exitCode: 69, message: expect.stringContaining(message) });
  });
  test("any other error is left as it is", () => {
    expect(explain(new Error("x"))).toBeUndefined();
  });
});
