import { stripVTControlCharacters } from "node:util";
import { describe, expect, test } from "vitest";
import { type BannerFacts, banner } from "../../src/cli/banner.ts";

const app: BannerFacts["app"] = {
  dataUrl: "http://127.0.0.1:8080",
  adminUrl: "http://127.0.0.1:9091",
  providers: [
    { name: "openai", note: "key in the environment", models: 41 },
    { name: "sim", note: "built in", models: 1 },
  ],
  localServers: [],
  authEnabled: false,
};
const show = (change: Partial<BannerFacts["app"]> = {}, facts: Partial<BannerFacts> = {}) =>
  banner({ version: "1.2.3", app: { ...app, ...change }, reflection: true, discovery: true, ...facts }, { color: false });

test("says where it listens, what it found, and that auth is off", () => {
  const text = show();
  expect(text).toContain("data   http://127.0.0.1:8080");
  expect(text).toContain("admin  http://127.0.0.1:9091");
  expect(text).toMatch(/openai +41 models +key in the environment/);
  expect(text).toMatch(/sim +1 model +built in/);
  expect(text).toContain("no local server found");
  expect(text).toContain("auth is off: loopback only");
});

test("the lines to paste are the ones that were promised", () => {
  const lines = show().split("\n");
  expect(lines).toContain(
    `  curl -s http://127.0.0.1:8080/v1/chat/completions -H 'content-type: application/json' -d '{"model":"sim/echo","messages":[{"role":"user","content":"Hello"}]}'`,
  );
  expect(lines).toContain(
    `  npx buf curl --http2-prior-knowledge --protocol grpc -d '{"model":"sim/echo","messages":[{"role":"ROLE_USER","parts":[{"text":"Hello"}]}]}' http://127.0.0.1:8080/dragoman.v1.InferenceService/Generate`,
  );
});

describe("the lines follow the configuration", () => {
  test("with auth the shell fills the key in", () => {
    const text = show({ authEnabled: true });
    expect(text.match(/-H "authorization: Bearer \$DRAGOMAN_API_KEY"/g)).toHaveLength(2);
    expect(text).not.toContain("auth is off");
  });
  test("every address becomes one that can be called", () => {
    expect(show({ dataUrl: "http://0.0.0.0:80" })).toContain("curl -s http://127.0.0.1:80/v1");
    expect(show({ dataUrl: "http://[::]:80" })).toContain("curl -s http://[::1]:80/v1");
  });
  test("TLS, no reflection, no sim", () => {
    const text = show({ dataUrl: "https://127.0.0.1:8443", providers: [] }, { reflection: false });
    expect(text).not.toContain("--http2-prior-knowledge");
    expect(text).toContain("--schema proto");
    expect(text).toContain("PROVIDER/MODEL");
    expect(text).toContain("none: set a vendor's key");
  });
});

test("colours are only added, never needed", () => {
  const facts = { version: "1.2.3", app, reflection: true, discovery: true };
  const colored = banner(facts, { color: true });
  expect(colored).toContain("\x1b[");
  expect(stripVTControlCharacters(colored)).toBe(show());
});
