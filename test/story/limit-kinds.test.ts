/** Every kind of limit for every kind of subject, as a client of the running gateway meets it (issue 4, "Limits and budgets"). */
import { createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { LimitService, LimitSubject } from "../../gen/dragoman/admin/v1/limit_service_pb.ts";
import { type LimitField, limitFields } from "../../src/core/limits.ts";
import { type Gateway, startGateway } from "./gateway.ts";

const apiKey = "key-of-the-limit-kinds-0123456789";
let gateway: Gateway;

/** Each is used up by one call. A second is over too soon to be told from none: it holds beside a minute. */
const kinds = {
  requests_per_second: { requestsPerSecond: 1n, requestsPerMinute: 1n },
  requests_per_minute: { requestsPerMinute: 1n },
  input_tokens_per_minute: { inputTokensPerMinute: 1n },
  output_tokens_per_minute: { outputTokensPerMinute: 1n },
  tokens_per_minute: { tokensPerMinute: 1n },
  bytes_per_minute: { bytesPerMinute: 1n },
  cost_nano_usd_per_day: { costNanoUsdPerDay: 1n },
  cost_nano_usd_per_month: { costNanoUsdPerMonth: 1n },
} as const satisfies Record<Exclude<LimitField, "concurrency">, object>;

const subjects: Readonly<Record<string, readonly [LimitSubject, id: string]>> = {
  tenant: [LimitSubject.TENANT, ""],
  project: [LimitSubject.PROJECT, "default"],
  key: [LimitSubject.KEY, ""],
  "end user": [LimitSubject.END_USER, "ann"],
  model: [LimitSubject.MODEL, "chat/sim-echo"],
  route: [LimitSubject.ROUTE, "own"],
};

const surfaces: Readonly<Record<string, { readonly path: string; readonly body: object; readonly error: object }>> = {
  openai: {
    path: "/v1/chat/completions",
    body: { model: "own", user: "ann", messages: [{ role: "user", content: "Hello" }] },
    error: { error: { type: expect.stringMatching(/^rate_limit|insufficient_quota/) } },
  },
  anthropic: {
    path: "/v1/messages",
    body: { model: "own", max_tokens: 10, metadata: { user_id: "ann" }, messages: [{ role: "user", content: "Hello" }] },
    error: { type: "error", error: { type: "rate_limit_error" } },
  },
  google: {
    path: "/v1beta/models/own:generateContent",
    body: { contents: [{ role: "user", parts: [{ text: "Hello" }] }] },
    error: { error: { code: 429, status: "RESOURCE_EXHAUSTED" } },
  },
  connect: {
    path: "/dragoman.v1.InferenceService/Complete",
    body: {
      generate: { model: "own", attribution: { endUserId: "ann" }, messages: [{ role: "ROLE_USER", parts: [{ text: "Hello" }] }] },
    },
    error: { code: "resource_exhausted" },
  },
};

function ask(name: string): Promise<Response> {
  const { path, body } = surfaces[name] ?? { path: "", body: {} };
  return fetch(gateway.url + path, {
    method: "POST",
    headers: { "content-type": "application/json", authorization: `Bearer ${apiKey}`, "x-dragoman-user-id": "ann" },
    body: JSON.stringify(body),
  });
}

beforeAll(async () => {
  gateway = await startGateway({
    config: {
      auth: { enabled: true, api_key: apiKey },
      routes: { own: { targets: [{ provider: "chat", model: "sim-echo" }] } },
      prices: [{ provider: "chat", model: "*", rates: { input: "3", output: "15" } }],
      local_embeddings: { enabled: false },
    },
  });
});
afterAll(() => gateway.close());

const cells = Object.keys(subjects).flatMap((subject) =>
  Object.keys(kinds).map((field) => [subject, field as keyof typeof kinds] as const),
);

describe("a limit", () => {
  test.each(cells)("of a %s on %s lets one call in and refuses the next on every surface", async (name, field) => {
    const headers = { authorization: `Bearer ${apiKey}` };
    const admin = createClient(LimitService, createConnectTransport({ baseUrl: gateway.adminUrl, httpVersion: "1.1" }));
    const [subject, subjectId] = subjects[name] ?? [LimitSubject.TENANT, ""];
    const { limit } = await admin.createLimit({ limit: { subject, subjectId, ...kinds[field] } }, { headers });
    const { metric } = limitFields[field];
    try {
      // A budget begins with what the ledger knows of the calls before.
      if (metric !== "cost") expect((await ask("openai")).status).toBe(200);
      else await (await ask("openai")).text();
      for (const surface of Object.keys(surfaces)) {
        const refused = await ask(surface);
        const said = [refused.status, refused.headers.get("x-dragoman-error-reason")];
        expect(said, surface).toEqual([429, metric === "cost" ? "quota_exhausted" : "rate_limited"]);
        expect(Number(refused.headers.get("retry-after")), surface).toBeGreaterThanOrEqual(1);
        if (metric === "requests") expect(refused.headers.get("x-ratelimit-remaining-requests"), surface).toBe("0");
        if (metric.includes("tokens")) expect(refused.headers.get("x-ratelimit-remaining-tokens"), surface).toBe("0");
        expect(await refused.json(), surface).toMatchObject(surfaces[surface]?.error ?? {});
      }
    } finally {
      await admin.deleteLimit({ id: limit?.id ?? "" }, { headers });
    }
  });
});
