import { describe, expect, test } from "vitest";
import { loadConfig } from "../../src/config/load.ts";
import { ConfigError, describeProblem, describeProblems } from "../../src/config/problem.ts";
import { tokenAlgorithms } from "../../src/core/token-algorithm.ts";
import { temporaryDirectory } from "./temporary.ts";

const directory = temporaryDirectory();
const known = { providerTypes: ["openai", "anthropic", "azure-openai", "openai-compatible"], providers: ["sim", "local"] };
let files = 0;

function failureOf(text: string, env: NodeJS.ProcessEnv = {}, extension = "yaml"): ConfigError {
  const file = `case-${files++}.${extension}`;
  directory.write(file, text);
  try {
    loadConfig({ file, env, cwd: directory.path, known });
  } catch (error) {
    if (error instanceof ConfigError) return error;
    throw error;
  }
  throw new Error("the configuration was taken");
}

/** The problems' lines without the name of the file. */
function problemsOf(text: string, env: NodeJS.ProcessEnv = {}, extension = "yaml"): string[] {
  return failureOf(text, env, extension).problems.map((problem) => describeProblem(problem).replace(/^case-\d+\.\w+:?/, ""));
}

const cases: Record<string, { yaml: string; env?: NodeJS.ProcessEnv; expected: string[] }> = {
  "a mistyped key": { yaml: "server:\n  listn: x", expected: ['2:3: server.listn: is not a known key; did you mean "listen"?'] },
  "a key of another section": {
    yaml: "drain_seconds: 3",
    expected: ['1:1: drain_seconds: is not a known key; did you mean "server.drain_seconds"?'],
  },
  "a key like nothing": {
    yaml: "discovery: { zzzz: 1 }",
    expected: ["1:14: discovery.zzzz: is not a known key; known are enabled, timeout_ms, refresh_seconds, servers"],
  },
  "a number where an address belongs": {
    yaml: "server: { listen: 8080 }",
    expected: ["1:19: server.listen: must be text, not a number; put it in quotes"],
  },
  "a port alone": {
    yaml: 'server: { listen: "8080" }',
    expected: ["1:19: server.listen: is not host:port; write 127.0.0.1:8080, [::1]:8080 or 0.0.0.0:8080"],
  },
  "a number out of range": { yaml: "json: { max_depth: 0 }", expected: ["1:20: json.max_depth: must be at least 1"] },
  "text for a number": { yaml: "json: { max_depth: many }", expected: ["1:20: json.max_depth: must be a number, not text"] },
  "text for a switch": { yaml: "sim: { enabled: on }", expected: ["1:17: sim.enabled: must be true or false, not text"] },
  "a wrong choice": {
    yaml: "log_level: wran",
    expected: ['1:12: log_level: must be one of trace, debug, info, warn, error, fatal, silent; did you mean "warn"?'],
  },
  "an origin with a path": {
    yaml: 'server: { cors: { origins: ["https://a.example/app", "*"] } }',
    expected: [
      "1:29: server.cors.origins[0]: is not an exact origin; write scheme, host and port only, as in https://app.example.com",
      "1:54: server.cors.origins[1]: is not an exact origin; write scheme, host and port only, as in https://app.example.com",
    ],
  },
  "an unset variable": {
    yaml: `providers:\n  openai: { api_key: '\${NO_SUCH_KEY}' }`,
    expected: [
      `2:22: providers.openai.api_key: names the environment variable NO_SUCH_KEY, which is not set; set it, or give a default as in \${NO_SUCH_KEY:-default}`,
    ],
  },
  "an empty secret": {
    yaml: `providers:\n  openai: { api_key: '\${EMPTY_KEY}' }`,
    env: { EMPTY_KEY: "" },
    expected: ["2:22: providers.openai.api_key: is empty; give a value, or leave the key out"],
  },
  "a placeholder": {
    yaml: "providers:\n  openai: { api_key: your-api-key-here }",
    expected: ["2:22: providers.openai.api_key: is a placeholder, not a secret; give the real one"],
  },
  "a missing secret file": {
    yaml: "providers:\n  openai: { api_key: 'file:nowhere' }",
    expected: ["2:22: providers.openai.api_key: names a file that cannot be read (it does not exist); check the path and its permissions"],
  },
  "a short caller key": { yaml: "auth: { api_key: tooshort }", expected: ["1:18: auth.api_key: is too short; use at least 16 characters"] },
  "an issuer without an audience": {
    yaml: "auth: { oidc_issuer: 'https://id.example' }",
    expected: [
      "1:1: auth.oidc_audience: is missing; name what the issuer's tokens for this gateway say, or it would take those for others",
    ],
  },
  "an algorithm with a shared secret": {
    yaml: "auth: { oidc_algorithms: [HS256] }",
    expected: [`1:27: auth.oidc_algorithms[0]: must be one of ${tokenAlgorithms.join(", ")}; did you mean "RS256"?`],
  },
  "certificates that nobody asks for": {
    yaml: "auth: { mtls: { 'spiffe://x/y': {} } }",
    expected: ["auth.mtls: needs server.tls.client_ca_file: without it nobody is asked for a certificate"],
  },
  "a URL with a password": {
    yaml: "providers: { openai: { base_url: 'http://a:b@host/v1' } }",
    expected: ["1:34: providers.openai.base_url: holds a user name or password; put the credential into api_key or headers"],
  },
  "a name without a type": {
    yaml: "providers:\n  mine: { base_url: 'http://10.0.0.5:8000/v1' }",
    expected: ["2:3: providers.mine: is no known vendor and has no type; add `type: openai-compatible` for any OpenAI-compatible server"],
  },
  "a mistyped type": {
    yaml: "providers:\n  mine: { type: azure-opnai }",
    expected: ['2:17: providers.mine.type: is no known type; did you mean "azure-openai"?'],
  },
  "a route to nowhere": {
    yaml: "providers: { openai: {} }\nroutes:\n  smart:\n    targets:\n      - { provider: opnai, model: x }",
    expected: ['5:21: routes.smart.targets[0].provider: names the provider "opnai", which is not configured; did you mean "openai"?'],
  },
  "a route to a vendor without key": {
    yaml: "routes: { smart: { targets: [ { provider: anthropic, model: x } ] } }",
    expected: [
      '1:43: routes.smart.targets[0].provider: names the provider "anthropic", which has no key; set the vendor\'s usual variable, or add providers.anthropic.api_key',
    ],
  },
  "a route to what is switched off": {
    yaml: "sim: { enabled: false }\nroutes: { smart: { targets: [ { provider: sim, model: echo } ] } }",
    expected: ['2:43: routes.smart.targets[0].provider: names the provider "sim", which is switched off; enable it, or name another'],
  },
  "a target without model": {
    yaml: "routes: { smart: { targets: [ { provider: sim } ] } }",
    expected: ["1:31: routes.smart.targets[0].model: is missing; give text"],
  },
  "a route without targets": {
    yaml: "routes: { smart: { targets: [] } }",
    expected: ["1:29: routes.smart.targets: is empty; name at least one target"],
  },
  "a dangling alias": {
    yaml: "routes: { smart: { targets: [ { provider: sim, model: echo } ] } }\naliases: { fast: smrt }",
    expected: ['2:18: aliases.fast: names "smrt", which is no route; did you mean "smart"?'],
  },
  "an alias named as a route": {
    yaml: "routes: { smart: { targets: [ { provider: sim, model: echo } ] } }\naliases: { smart: sim/echo }",
    expected: ["2:12: aliases.smart: is also the name of a route; rename one of them"],
  },
  "a model without provider": {
    yaml: "models: { gpt: { tools: true } }",
    expected: ["1:11: models.gpt: is not of the form provider/model"],
  },
  "one address for both ports": {
    yaml: "server: { listen: 127.0.0.1:9, listen_admin: 127.0.0.1:9 }",
    expected: ["server.listen_admin: is the same address as server.listen; give the admin port another one"],
  },
  "a missing certificate": {
    yaml: "server: { tls: { cert_file: a.pem, key_file: b.pem } }",
    expected: [
      "1:29: server.tls.cert_file: names a file that cannot be read (it does not exist); check the path and its permissions",
      "1:46: server.tls.key_file: names a file that cannot be read (it does not exist); check the path and its permissions",
    ],
  },
  "a list for a map": { yaml: "providers: [a]", expected: ["1:12: providers: must be a map, not a list"] },
  "a header of the gateway's own": {
    yaml: "providers: { openai: { headers: { Content-Length: '3' } } }",
    expected: ["1:35: providers.openai.headers.Content-Length: is set by the gateway; leave it out"],
  },
  "a mistyped variable": {
    yaml: "{}",
    env: { DRAGOMAN__SERVER__DRAIN_SECOND: "3" },
    expected: ['DRAGOMAN__SERVER__DRAIN_SECOND: sets no known field; did you mean "DRAGOMAN__SERVER__DRAIN_SECONDS"?'],
  },
  "a wrong PORT": { yaml: "{}", env: { PORT: "http" }, expected: ["PORT: server.listen: is not a port; use a number from 0 to 65535"] },
  "a HOST with a port": {
    yaml: "{}",
    env: { HOST: "0.0.0.0:80" },
    expected: ["HOST: server.listen: is not a host; give a name or an address without port, such as 0.0.0.0 or ::1"],
  },
  "an empty caller key": {
    yaml: "{}",
    env: { DRAGOMAN_API_KEY: "" },
    expected: ["DRAGOMAN_API_KEY: auth.api_key: is empty; give a value, or leave the key out"],
  },
};

describe("a wrong configuration says where, what and what would be right", () => {
  test.each(Object.entries(cases))("%s", (_, { yaml, env, expected }) => {
    expect(problemsOf(yaml, env)).toEqual(expected);
  });
});

test("every problem is told at once, in the order of the file", () => {
  const error = failureOf("server:\n  port: 1\n  max_headers: 1\nproviders:\n  nope: {}\nlog_level: loud\n", { PORT: "x" });
  expect(error.exitCode).toBe(78);
  expect(error.problems).toHaveLength(5);
  const lines = describeProblems(error).split("\n");
  expect(lines[0]).toBe("The configuration has 5 problems:");
  expect(lines.filter((line) => line.includes(".yaml:")).map((line) => /yaml:(\d+)/.exec(line)?.[1])).toEqual(["2", "3", "5", "6"]);
});

describe("syntax", () => {
  test("YAML says line and column", () => {
    expect(problemsOf("server:\n  listen: [1\n")[0]).toMatch(/^3:1: is not valid YAML: /);
    expect(problemsOf("a: 1\na: 2")[0]).toMatch(/^2:1: is not valid YAML: Map keys must be unique/);
  });
  test("JSON is held to its own rules", () => {
    expect(problemsOf('{\n  "server": {},\n}', {}, "json")[0]).toMatch(/^3:1: is not JSON: /);
    expect(problemsOf('{ "json": { "max_depth": "x" } }', {}, "json")).toEqual(["1:26: json.max_depth: must be a number, not text"]);
  });
  test("TOML says line and column of syntax, and the path of values", () => {
    expect(problemsOf("[server\nlisten = 1", {}, "toml")[0]).toMatch(/^1:\d+: is not valid TOML: /);
    expect(problemsOf("[json]\nmax_depth = 0", {}, "toml")).toEqual([" json.max_depth: must be at least 1"]);
  });
  test("a list is no configuration, an empty file is one", () => {
    expect(problemsOf("- a")).toEqual([" is not a map of sections; begin with one such as `server:`"]);
    directory.write("empty.yaml", "# nothing\n");
    expect(loadConfig({ file: "empty.yaml", env: {}, cwd: directory.path }).log_level).toBe("info");
  });
  test("aliases that multiply are refused", () => {
    const bomb = [
      "a: &a [x,x,x,x,x,x,x,x,x]",
      ..."bcdefgh".split("").map((name, index) => `${name}: &${name} [${Array(9).fill(`*${"abcdefg"[index]}`)}]`),
    ];
    expect(problemsOf(bomb.join("\n"))).toEqual(["1:1: holds more than 200000 values; look for aliases that multiply"]);
  });
  test("a file that is not there is exit code 74", () => {
    expect(() => loadConfig({ file: "nowhere.yaml", env: {}, cwd: directory.path })).toThrow(
      expect.objectContaining({
        exitCode: 74,
        message: "nowhere.yaml: cannot be read (it does not exist); check the path and its permissions",
      }),
    );
  });
  test("another extension is refused", () => {
    expect(problemsOf("x", {}, "ini")).toEqual([" is not a configuration file; name it .yaml, .yml, .json or .toml"]);
  });
});
