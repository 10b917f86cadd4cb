/** buf curl knows nothing of our schema: it lists and calls every service by reflection, over all three protocols. */
import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Gateway, startGateway } from "./gateway.ts";

const root = join(import.meta.dirname, "../..");
const run = promisify(execFile);

let gateway: Gateway;
beforeAll(async () => {
  gateway = await startGateway();
});
afterAll(() => gateway?.close());

const buf = async (...flags: string[]) =>
  (await run(join(root, "node_modules/.bin/buf"), ["curl", "--http2-prior-knowledge", ...flags], { cwd: "/" })).stdout;

const message = { role: "ROLE_USER", parts: [{ text: "Hello" }] };
const generate = { model: "sim/echo", messages: [message] };
const calls: [string, object, RegExp][] = [
  ["dragoman.v1.InferenceService/Generate", generate, /"settled"/],
  ["dragoman.v1.InferenceService/Complete", { generate }, /"text": *"Hello"/],
  ["dragoman.v1.InferenceService/Embed", { model: "sim/embed", inputs: [{ text: "x" }], dimensions: 8 }, /"values"/],
  ["dragoman.v1.InferenceService/CountTokens", { generate }, /"inputTokens"/],
  ["dragoman.v1.InferenceService/ListModels", {}, /sim\/echo/],
  ["grpc.health.v1.Health/Check", {}, /SERVING/],
  ["grpc.health.v1.Health/List", {}, /dragoman\.v1\.InferenceService/],
];

describe.each(["grpc", "grpcweb", "connect"])("%s", (protocol) => {
  test("lists the methods of every service", async () => {
    const listed = await buf("--protocol", protocol, "--list-methods", gateway.url);
    for (const [method] of calls) expect(listed).toContain(method);
  });

  test.each(calls)("%s", async (method, body, expected) => {
    expect(await buf("--protocol", protocol, "-d", JSON.stringify(body), `${gateway.url}/${method}`)).toMatch(expected);
  });
});

test("the committed descriptor set does where reflection is switched off", async () => {
  const closed = await startGateway({ config: { rpc: { reflection: false } } });
  try {
    const method = `${closed.url}/dragoman.v1.InferenceService/ListModels`;
    await expect(buf("-d", "{}", method)).rejects.toThrow();
    expect(await buf("--schema", join(root, "gen/dragoman.binpb"), "-d", "{}", method)).toContain("sim/echo");
  } finally {
    await closed.close();
  }
});
