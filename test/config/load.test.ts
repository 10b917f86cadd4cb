import { symlinkSync } from "node:fs";
import { join } from "node:path";
import { inspect } from "node:util";
import { describe, expect, test } from "vitest";
import { loadConfig } from "../../src/config/load.ts";
import { readModelTraits } from "../../src/config/model-traits.ts";
import { ConfigError, describeProblems } from "../../src/config/problem.ts";
import { configSchema } from "../../src/config/schema.ts";
import { showConfig } from "../../src/config/show.ts";
import { temporaryDirectory } from "./temporary.ts";

const directory = temporaryDirectory();
const cwd = directory.path;
const unchangedProvider = configSchema.parse({ providers: { openai: {} } }).providers.openai;

describe("defaults", () => {
  test("nothing configured: loopback, no auth, the limits of the specification", () => {
    const config = loadConfig({ env: {}, cwd });
    expect(config.server).toMatchObject({
      listen: { host: "127.0.0.1", port: 8080 },
      listen_admin: { host: "127.0.0.1", port: 9091 },
      max_body_bytes: 10_485_760,
      max_header_bytes: 16_384,
      max_headers: 100,
      max_url_bytes: 8_192,
      drain_seconds: 600,
      max_timeout_seconds: 600,
      allow_vulnerable_runtime: false,
    });
    expect(config.auth).toMatchObject({ enabled: false, oidc_jwks_ttl: 600 });
    expect(config.retryable_status_codes).toEqual([429, 500, 502, 503, 504, 529]);
    expect(config.data_dir).toBe(join(cwd, ".dragoman"));
    expect(unchangedProvider).toMatchObject({
      connect_timeout_seconds: 3,
      first_byte_timeout_seconds: 120,
      idle_timeout_seconds: 60,
      total_timeout_seconds: 600,
    });
  });
  test("it is frozen to its depths", () => {
    const config = loadConfig({ env: {}, cwd });
    expect(Object.isFrozen(config.server.cors.origins)).toBe(true);
  });
});

describe("one meaning in three formats", () => {
  const yaml =
    "server: { listen: '[::1]:9' }\nproviders:\n  openai:\n  mine: { type: openai, models: [a, b] }\nretryable_status_codes: [429]\n";
  const json =
    '{"$schema":"./x.json","server":{"listen":"[::1]:9"},"providers":{"openai":{},"mine":{"type":"openai","models":["a","b"]}},"retryable_status_codes":[429]}';
  const toml =
    'retryable_status_codes = [429]\n[server]\nlisten = "[::1]:9"\n[providers.openai]\n[providers.mine]\ntype = "openai"\nmodels = ["a", "b"]\n';
  const read = (name: string, text: string) => {
    directory.write(name, text);
    return loadConfig({ file: name, env: {}, cwd });
  };
  test("YAML, JSON, TOML", () => {
    const config = read("a.yaml", yaml);
    expect(config.server.listen).toEqual({ host: "::1", port: 9 });
    expect(config.providers.mine).toMatchObject({ type: "openai", models: ["a", "b"], enabled: true });
    expect(config.providers.openai).toEqual(unchangedProvider);
    expect(read("a.json", json)).toEqual(config);
    expect(read("a.toml", toml)).toEqual(config);
  });
});

describe("precedence", () => {
  directory.write("p.yaml", "server: { listen: 127.0.0.1:1000, drain_seconds: 1, max_headers: 20 }\nlog_level: error\n");
  const load = (env: NodeJS.ProcessEnv, flags = {}) => loadConfig({ file: "p.yaml", env, cwd, flags });

  test("flags over environment over file over default", () => {
    expect(load({}).server.listen).toEqual({ host: "127.0.0.1", port: 1000 });
    expect(load({ PORT: "2000" }).server.listen).toEqual({ host: "127.0.0.1", port: 2000 });
    expect(load({ PORT: "2000" }, { port: "3000" }).server.listen).toEqual({ host: "127.0.0.1", port: 3000 });
    expect(load({ HOST: "::1" }, { port: "3000" }).server.listen).toEqual({ host: "::1", port: 3000 });
    expect(load({ ADMIN_HOST: "localhost", ADMIN_PORT: "7" }).server.listen_admin).toEqual({ host: "localhost", port: 7 });
    expect(load({ LOG_LEVEL: "DEBUG" }).log_level).toBe("debug");
    expect(load({ LOG_LEVEL: "debug" }, { log_level: "warn" }).log_level).toBe("warn");
    expect(load({ DRAGOMAN_DATA_DIR: "data" }).data_dir).toBe(join(cwd, "data"));
    expect(load({ PORT: "", LOG_LEVEL: "" })).toMatchObject({ log_level: "error", server: { listen: { port: 1000 } } });
  });
  test("DRAGOMAN__SECTION__KEY takes the field's type, leaves its neighbours, and wins over PORT", () => {
    const config = load({
      PORT: "2000",
      DRAGOMAN__SERVER__LISTEN: "127.0.0.1:4000",
      DRAGOMAN__SERVER__DRAIN_SECONDS: "2.5",
      DRAGOMAN__SIM__ENABLED: "false",
      DRAGOMAN__SERVER__CORS__ORIGINS: "https://a.example, https://b.example",
      DRAGOMAN__RETRYABLE_STATUS_CODES: "429,503",
      DRAGOMAN__ROUTES__SMART: '{"targets":[{"provider":"sim","model":"echo"}]}',
    });
    expect(config.server).toMatchObject({ listen: { port: 4000 }, drain_seconds: 2.5, max_headers: 20 });
    expect(config.server.cors.origins).toEqual(["https://a.example", "https://b.example"]);
    expect(config.sim.enabled).toBe(false);
    expect(config.retryable_status_codes).toEqual([429, 503]);
    expect(config.routes.smart).toMatchObject({ strategy: "round-robin", max_attempts: 3 });
  });
  test("a variable finds a configured name in spite of its dashes", () => {
    directory.write("azure.yaml", "providers: { azure-openai: { base_url: 'https://x.example' } }");
    const config = loadConfig({ file: "azure.yaml", env: { DRAGOMAN__PROVIDERS__AZURE_OPENAI__API_VERSION: "2024-10-21" }, cwd });
    expect(Object.keys(config.providers)).toEqual(["azure-openai"]);
    expect(config.providers["azure-openai"]).toMatchObject({ api_version: "2024-10-21", base_url: "https://x.example" });
  });
  test("DRAGOMAN_CONFIG names the file, an argument another one", () => {
    directory.write("q.yaml", "log_level: fatal");
    expect(loadConfig({ env: { DRAGOMAN_CONFIG: "q.yaml" }, cwd }).log_level).toBe("fatal");
    expect(loadConfig({ file: "p.yaml", env: { DRAGOMAN_CONFIG: "q.yaml" }, cwd }).log_level).toBe("error");
  });
});

describe("references", () => {
  test("variables, defaults and the literal form", () => {
    directory.write(
      "r.yaml",
      `server: { node: 'a-\${NODE:-one}', max_headers: '\${MAX:-30}' }\nproviders: { openai: { headers: { x-a: '$\${NOT}' } } }`,
    );
    const config = loadConfig({ file: "r.yaml", env: { NODE: "two" }, cwd });
    expect(config.server).toMatchObject({ node: "a-two", max_headers: 30 });
    expect(config.providers.openai?.headers["x-a"]?.reveal()).toBe(`\${NOT}`);
  });
  test("file: is read for secrets only, relative to the file that says it", () => {
    directory.write("sub/key.txt", "sk-from-a-file\n");
    directory.write(
      "sub/f.yaml",
      "server: { node: 'file:key.txt' }\nproviders: { openai: { api_key: 'file:key.txt' } }\nauth: { api_keys_file: key.txt }",
    );
    const config = loadConfig({ file: "sub/f.yaml", env: {}, cwd });
    expect(config.providers.openai?.api_key?.reveal()).toBe("sk-from-a-file");
    expect(config.server.node).toBe("file:key.txt");
    expect(config.auth).toMatchObject({ enabled: true, api_keys_file: join(cwd, "sub/key.txt") });
  });
  test("a credential directory of the service manager", () => {
    const file = directory.write("credentials/openai", "sk-credential-1");
    directory.write("c.yaml", `providers: { openai: { api_key: 'file:\${CREDENTIALS_DIRECTORY}/openai' } }`);
    const config = loadConfig({ file: "c.yaml", env: { CREDENTIALS_DIRECTORY: join(file, "..") }, cwd });
    expect(config.providers.openai?.api_key?.reveal()).toBe("sk-credential-1");
  });
});

describe("auth", () => {
  test("a key switches it on, and only an explicit false off", () => {
    expect(loadConfig({ env: { DRAGOMAN_API_KEY: "0123456789abcdef" }, cwd }).auth.enabled).toBe(true);
    directory.write("off.yaml", "auth: { enabled: false }");
    expect(loadConfig({ file: "off.yaml", env: { DRAGOMAN_API_KEY: "0123456789abcdef" }, cwd }).auth.enabled).toBe(false);
  });
});

describe("a directory", () => {
  test("merges alphabetically: names are added, structs are replaced whole, other files are left alone", () => {
    directory.write(
      "d/10-base.yaml",
      "server: { listen: 127.0.0.1:1, drain_seconds: 1 }\nproviders: { a: { type: openai, models: [x] }, b: { type: openai } }\nlog_level: error",
    );
    directory.write("d/20-more.json", '{"server":{"listen":"127.0.0.1:2"},"providers":{"a":{"type":"gemini"}}}');
    directory.write("d/30-last.toml", '[providers.c]\ntype = "openai"');
    directory.write("d/README.md", "not a configuration");
    directory.write("d/..2026/40-hidden.yaml", "log_level: debug");
    symlinkSync(join(cwd, "d/..2026/40-hidden.yaml"), join(cwd, "d/.hidden.yaml"));
    const config = loadConfig({ file: "d", env: {}, cwd });
    expect(config.server).toMatchObject({ listen: { port: 2 }, drain_seconds: 600 });
    expect(Object.keys(config.providers).sort()).toEqual(["a", "b", "c"]);
    expect(config.providers.a).toMatchObject({ type: "gemini" });
    expect(config.providers.a?.models).toBeUndefined();
    expect(config.log_level).toBe("error");
  });
  test("S8: problems name the file they are in", () => {
    directory.write("e/a.yaml", "providers: { x: { type: openai } }");
    directory.write("e/b.yaml", "providers:\n  y: { typ: openai }");
    expect(() => loadConfig({ file: "e", env: {}, cwd })).toThrow(
      'e/b.yaml:2:8: providers.y.typ: is not a known key; did you mean "type"?',
    );
  });
  test("without a configuration in it it is refused", () => {
    directory.write("f/notes.txt", "");
    expect(() => loadConfig({ file: "f", env: {}, cwd })).toThrow("f: holds no configuration file");
  });
});

describe("secrets", () => {
  const canary = "sk-canary-3f9a1c7e5b2d";
  directory.write("secret.txt", canary);
  directory.write(
    "s.yaml",
    `auth: { api_key: ${canary} }\nproviders:\n  openai: { api_key: "\${CANARY}", headers: { x-team: ${canary} } }\n  mine: { type: openai, api_key: "file:secret.txt" }\n`,
  );
  const config = loadConfig({ file: "s.yaml", env: { CANARY: canary }, cwd });

  test("are there for who sends them, and for nobody else", () => {
    expect(config.providers.openai?.api_key?.reveal()).toBe(canary);
    const shown = [
      JSON.stringify(config),
      inspect(config, { depth: null, showHidden: true }),
      String(config.auth.api_key),
      JSON.stringify(showConfig(config)),
    ];
    for (const text of shown) expect(text).not.toContain(canary.slice(0, 12));
    expect(showConfig(config)).toMatchObject({ server: { listen: "127.0.0.1:8080" }, auth: { api_key: "[secret]" } });
  });

  test.each([
    [
      "a secret in the wrong place",
      `server: { listen: ${canary} }\nlog_level: ${canary}\njson: { max_depth: ${canary} }\nroutes: ${canary}`,
      "yaml",
    ],
    ["a secret next to broken YAML", `providers: { openai: { api_key: ${canary} ]`, "yaml"],
    ["a secret in broken YAML text", `api_key: "${canary}\n`, "yaml"],
    ["a secret next to broken JSON", `{"providers":{"openai":{"api_key":"${canary}",}}}`, "json"],
    ["a secret without quotes in JSON", `{"api_key": ${canary}}`, "json"],
    ["a secret next to broken TOML", `[auth]\napi_key = "${canary}" x\n`, "toml"],
    ["a secret with a line break", `providers: { openai: { api_key: "${canary}\\nx" } }`, "yaml"],
    ["a secret in a URL", `providers: { openai: { base_url: "https://user:${canary}@host" } }`, "yaml"],
  ])("%s does not reach the message", (_, text, extension) => {
    directory.write(`leak.${extension}`, text);
    let failure: unknown;
    try {
      loadConfig({ file: `leak.${extension}`, env: {}, cwd });
    } catch (error) {
      failure = error;
    }
    expect(failure).toBeInstanceOf(ConfigError);
    if (!(failure instanceof ConfigError)) return;
    for (const shown of [describeProblems(failure), inspect(failure, { depth: null }), JSON.stringify(failure)])
      expect(shown).not.toContain(canary.slice(0, 12));
  });
});

test("what the operator knows of a model, in core's words", () => {
  directory.write("m.yaml", 'models: { "openai/x": { context_window: 8000, image_urls: false, reasoning: effort } }');
  const { models } = loadConfig({ file: "m.yaml", env: {}, cwd });
  const override = models["openai/x"];
  expect(override && readModelTraits(override)).toEqual({ contextWindow: 8000, imageUrls: false, reasoning: "effort" });
});
