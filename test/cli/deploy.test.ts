/** What is shipped beside the code must fit it. */
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { parse } from "yaml";
import { knownNames } from "../../src/app/known-names.ts";
import { checkBind } from "../../src/config/check-bind.ts";
import { configJsonSchema } from "../../src/config/json-schema.ts";
import { loadConfig } from "../../src/config/load.ts";
import { configSchema } from "../../src/config/schema.ts";

const root = new URL("../../", import.meta.url).pathname;
const read = (path: string) => readFileSync(`${root}${path}`, "utf8");

describe("the example configuration", () => {
  test("passes the check", () => {
    const config = loadConfig({ file: "deploy/dragoman.example.yaml", env: {}, cwd: root, known: knownNames({}) });
    expect(() => checkBind(config, "24.21.0")).not.toThrow();
  });
  test("shows every section", () => {
    const text = read("deploy/dragoman.example.yaml");
    for (const section of Object.keys(configSchema.shape)) expect(text).toMatch(new RegExp(`^(?:# )?${section}:`, "m"));
  });
  test("says defaults where it says nothing special", () => {
    const defaults = configSchema.parse({});
    const { json, retryable_status_codes, admission } = parse(read("deploy/dragoman.example.yaml"));
    expect({ json, retryable_status_codes, admission }).toEqual({
      json: defaults.json,
      retryable_status_codes: defaults.retryable_status_codes,
      admission: defaults.admission,
    });
  });
});

describe("deploy/config.schema.json", () => {
  test("is current: else run `npm run -s dragoman -- config schema > deploy/config.schema.json`", () => {
    expect(JSON.parse(read("deploy/config.schema.json"))).toEqual(JSON.parse(JSON.stringify(configJsonSchema())));
  });
  test("knows every key, refuses others, and takes references for numbers", () => {
    const schema = JSON.parse(read("deploy/config.schema.json"));
    expect(Object.keys(schema.properties).sort()).toEqual(["$schema", ...Object.keys(configSchema.shape)].sort());
    expect(schema.additionalProperties).toBe(false);
    expect(schema.properties.server.properties.drain_seconds.anyOf).toContainEqual(expect.objectContaining({ type: "string" }));
    expect(schema.properties.server.properties.drain_seconds.description).toContain("SIGTERM");
  });
});
