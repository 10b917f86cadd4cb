/** One list of models in the shapes of three vendors' clients. */
import { describe, expect, test } from "vitest";
import { startFacade } from "./fake-facade.ts";

async function get(path: string, headers: Record<string, string> = {}) {
  const response = await fetch((await startFacade()) + path, { headers });
  return { status: response.status, headers: response.headers, body: await response.json() };
}

const anthropic = { "anthropic-version": "2023-06-01" };

describe("Anthropic's clients, known by their version", () => {
  test("get their own list, page by page in both directions", async () => {
    const first = await get("/v1/models?limit=2", anthropic);
    expect(first.body).toMatchObject({ has_more: true, first_id: "smart", last_id: "meta-llama/Llama-3" });
    expect(first.body.data[0]).toMatchObject({
      type: "model",
      id: "smart",
      display_name: "smart",
      created_at: "1970-01-01T00:00:00.000Z",
      max_input_tokens: 1000,
    });
    expect(first.headers.get("request-id")).toBe(first.headers.get("x-dragoman-request-id"));
    const next = await get("/v1/models?limit=2&after_id=meta-llama%2FLlama-3", anthropic);
    expect(next.body).toMatchObject({ data: [{ id: "llama3:8b" }], has_more: false });
    const before = await get("/v1/models?limit=1&before_id=llama3:8b", anthropic);
    expect(before.body).toMatchObject({ data: [{ id: "meta-llama/Llama-3" }], has_more: true });
  });

  test("get one model, and their own errors", async () => {
    expect((await get("/v1/models/meta-llama/Llama-3", anthropic)).body).toMatchObject({ type: "model", id: "meta-llama/Llama-3" });
    const missing = await get("/v1/models/none", anthropic);
    expect(missing).toMatchObject({ status: 404, body: { type: "error", error: { type: "not_found_error" } } });
    expect((await get("/v1/models?limit=0", anthropic)).status).toBe(400);
    expect((await get("/v1/models?after_id=none", anthropic)).status).toBe(400);
  });
});

describe.each(["/v1beta", "/v1beta1"])("Google's clients under %s", (version) => {
  test("get their own list in pages", async () => {
    const first = await get(`${version}/models?pageSize=2`);
    expect(first.body.models).toMatchObject([
      { name: "models/smart", displayName: "smart", inputTokenLimit: 1000 },
      { name: "models/meta-llama/Llama-3" },
    ]);
    expect(first.body.models[0].supportedGenerationMethods).toContain("generateContent");
    const next = await get(`${version}/models?pageSize=2&pageToken=${first.body.nextPageToken}`);
    expect(next.body).toMatchObject({ models: [{ name: "models/llama3:8b" }] });
    expect(next.body).not.toHaveProperty("nextPageToken");
  });

  test("get one model, and their own errors", async () => {
    expect((await get(`${version}/models/llama3:8b`)).body).toMatchObject({ name: "models/llama3:8b" });
    for (const [path, code, status] of [
      ["/models/none", 404, "NOT_FOUND"],
      ["/models?pageSize=x", 400, "INVALID_ARGUMENT"],
      ["/models?pageToken=x", 400, "INVALID_ARGUMENT"],
      ["/nothing", 404, "UNIMPLEMENTED"],
    ] as const) {
      expect((await get(version + path)).body.error).toMatchObject({ code, status });
    }
  });
});
