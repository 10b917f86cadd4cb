/** X8 (reliability.md 4.7): no secret is empty or a placeholder, whichever field it is for and however it is given. */
import { expect, test } from "vitest";
import { loadConfig } from "../../src/config/load.ts";
import { ConfigError } from "../../src/config/problem.ts";
import { temporaryDirectory } from "./temporary.ts";

const directory = temporaryDirectory();
const known = { providerTypes: ["openai", "bedrock"], providers: ["sim", "local"] };

/** The configuration with a value in one of its secrets. */
const fields: Record<string, (value: unknown) => object> = {
  "auth.api_key": (api_key) => ({ auth: { api_key } }),
  "auth.pepper": (pepper) => ({ auth: { pepper } }),
  "auth.previous_peppers": (value) => ({ auth: { previous_peppers: [value] } }),
  "stores.database_url": (database_url) => ({ stores: { database_url } }),
  "redis.url": (url) => ({ redis: { url } }),
  "providers.p.api_key": (api_key) => ({ providers: { p: { type: "openai", api_key } } }),
  "providers.p.secret_access_key": (secret_access_key) => ({
    providers: { p: { type: "bedrock", region: "eu-west-1", access_key_id: "AKIA0000000000000000", secret_access_key } },
  }),
};

const nothing = [
  "",
  " ",
  "\t",
  "changeme",
  "change-me",
  "CHANGE_ME",
  "your-api-key",
  "your-key-here",
  "<api-key>",
  "xxxxxxxx",
  "todo",
  "secret",
  "password",
];

function problemsOf(config: object, env: NodeJS.ProcessEnv = {}): string {
  directory.write("secrets.json", JSON.stringify(config));
  try {
    loadConfig({ file: "secrets.json", env, cwd: directory.path, known });
  } catch (error) {
    if (error instanceof ConfigError) return `${error.exitCode} ${error.message}`;
    throw error;
  }
  return "taken";
}

test.each(Object.entries(fields))("X8: %s", (name, configOf) => {
  for (const value of nothing) {
    expect(problemsOf(configOf(value)), JSON.stringify(value)).toMatch(new RegExp(`^78 [^]*${name.replaceAll(".", "\\.")}`));
    expect(problemsOf(configOf("$" + "{SECRET_OF_TEST}"), { SECRET_OF_TEST: value }), `variable of ${JSON.stringify(value)}`).toMatch(
      /^78 /,
    );
    directory.write("secret.txt", `${value}\n`);
    expect(problemsOf(configOf("file:secret.txt")), `file of ${JSON.stringify(value)}`).toMatch(/^78 /);
  }
});
