/**
 * Six clients x three upstream wire formats x what people do with models. Every cell goes over real sockets to a
 * simulated upstream that is as strict as the vendor, and its bill is compared with our attempt records.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { OutputKind, ReasoningEffort, Role } from "../../gen/dragoman/v1/generate_pb.ts";
import { type BrowserPage, noBrowser, openPage } from "./browser.ts";
import { bufCurl, curl, grpcJs, grpcWeb, openAiSdk } from "./clients.ts";
import { type Gateway, startGateway } from "./gateway.ts";
import type { Answer, Client, CoreRequest, Question } from "./question.ts";

const inputs = join(import.meta.dirname, "../fixtures/inputs");
const multilingual = readFileSync(join(inputs, "multilingual.txt"), "utf8");
const photograph = readFileSync(join(inputs, "photograph.jpg"));
const tools = JSON.parse(readFileSync(join(inputs, "tools.json"), "utf8")) as {
  function: { name: string; description: string; parameters: unknown };
}[];

const formats = ["openai-chat", "anthropic-messages", "gemini"] as const;
type Format = (typeof formats)[number];
/** The model of each format: the configured provider's name and a model name the vendor's rules apply to. */
const models: Record<Format, string> = {
  "openai-chat": "chat/sim-script",
  "anthropic-messages": "claude/sim-script",
  gemini: "gem/sim-script",
};

interface Feature {
  readonly name: string;
  /** What the simulated model does. */
  readonly script: unknown;
  /** Beside model and messages, in both languages. */
  readonly chat?: Record<string, unknown>;
  readonly core?: CoreRequest;
  readonly image?: boolean;
  expect(answer: Answer, format: Format, gateway: Gateway): void;
}

const flight = { origin: "ZRH", destination: "HND", legs: [{ date: "2026-12-24", cabin: "economy" }] };
const weather = { place: "東京, 日本", days: 3 };
const citySchema = {
  type: "object",
  properties: { city: { type: "string" }, population: { type: "integer" } },
  required: ["city", "population"],
  additionalProperties: false,
};

function only(answer: Answer) {
  expect(answer.failure).toBeUndefined();
  expect(answer.candidates).toHaveLength(1);
  return answer.candidates[0];
}

const features: Feature[] = [
  {
    name: "a long multilingual text",
    script: { steps: [{ text: multilingual }] },
    expect(answer) {
      expect(only(answer)).toEqual({ text: multilingual, reasoning: "", calls: [], finish: "stop" });
    },
  },
  {
    name: "an image",
    image: true,
    script: { steps: [{ text: "a rocket" }] },
    expect(answer, _, gateway) {
      expect(only(answer)?.text).toBe("a rocket");
      // The photograph arrived as it is, whatever field the format puts it into.
      expect(JSON.stringify(gateway.sim.requests().at(-1)?.body)).toContain(photograph.toString("base64"));
    },
  },
  {
    name: "two parallel tool calls with streamed arguments",
    script: {
      steps: [
        { text: "Let me look." },
        {
          parallel: [
            { tool_call: { name: "search_flights", arguments: flight } },
            { tool_call: { name: "get_weather", arguments: weather } },
          ],
        },
      ],
    },
    chat: { tools },
    core: {
      tools: tools.map(({ function: { name, description, parameters } }) => ({
        tool: { case: "function" as const, value: { name, description, parametersJson: JSON.stringify(parameters) } },
      })),
    },
    expect(answer) {
      expect(only(answer)).toEqual({
        text: "Let me look.",
        reasoning: "",
        calls: [
          { name: "search_flights", arguments: flight },
          { name: "get_weather", arguments: weather },
        ],
        finish: "tool_calls",
      });
    },
  },
  {
    name: "output by a JSON schema",
    script: { steps: [{ text: '{"city":"Zürich","population":447082}' }] },
    chat: { response_format: { type: "json_schema", json_schema: { name: "city", schema: citySchema, strict: true } } },
    core: { outputFormat: { kind: OutputKind.JSON_SCHEMA, name: "city", schemaJson: JSON.stringify(citySchema), strict: true } },
    expect(answer, _, gateway) {
      expect(JSON.parse(only(answer)?.text ?? "")).toEqual({ city: "Zürich", population: 447082 });
      expect(JSON.stringify(gateway.sim.requests().at(-1)?.body)).toContain('"population"');
    },
  },
  {
    name: "reasoning",
    script: {
      steps: [{ reasoning: "First I think about it." }, { text: "Then I say it." }],
      usage: { output_tokens: 40, reasoning_tokens: 30 },
    },
    chat: { reasoning_effort: "low", max_completion_tokens: 4000 },
    core: { reasoning: { effort: ReasoningEffort.LOW }, sampling: { maxOutputTokens: 4000 } },
    expect(answer) {
      expect(only(answer)).toMatchObject({ text: "Then I say it.", reasoning: "First I think about it.", finish: "stop" });
      expect(answer.usage?.output).toBe(40);
    },
  },
  {
    name: "two candidates",
    script: { candidates: [{ steps: [{ text: "heads" }] }, { steps: [{ text: "tails" }] }] },
    chat: { n: 2 },
    core: { sampling: { candidateCount: 2 } },
    expect(answer, format) {
      if (format === "anthropic-messages") {
        // The vendor has no such thing, and one answer instead of two would be another meaning.
        expect(answer.failure?.reason).toBe("untranslatable");
        return;
      }
      expect(answer.failure).toBeUndefined();
      expect(answer.candidates.map(({ text }) => text)).toEqual(["heads", "tails"]);
    },
  },
  {
    name: "usage with cached tokens",
    script: { steps: [{ text: "cheap" }], usage: { input_tokens: 2000, output_tokens: 7, cache_read_tokens: 1500 } },
    expect(answer) {
      expect(only(answer)?.text).toBe("cheap");
      expect(answer.usage).toEqual({ input: 2000, output: 7, cached: 1500 });
    },
  },
  {
    name: "the vendor's 429",
    script: { steps: [{ fault: "rate_limit" }] },
    expect(answer) {
      expect(answer.failure?.reason).toBe("rate_limited");
      expect(answer.candidates).toEqual([]);
    },
  },
  {
    name: "a failure in mid-stream",
    script: { steps: [{ text: "half of what I wanted to say" }, { fault: "reset" }] },
    expect(answer) {
      expect(answer.failure).toBeDefined();
      expect(["", "provider_error"]).toContain(answer.failure?.reason);
      expect(answer.candidates[0]?.text).toBe("half of what I wanted to say");
      expect(answer.candidates[0]?.finish).toBe("");
    },
  },
];

let gateway: Gateway;
let page: BrowserPage | undefined;
const clients: { name: string; make: () => Client | undefined }[] = [
  { name: "openai SDK", make: () => openAiSdk(gateway.url) },
  { name: "curl", make: () => curl(gateway.url) },
  { name: "grpc-js", make: () => grpcJs(gateway.url) },
  { name: "gRPC-Web", make: () => grpcWeb(gateway.url) },
  { name: "buf curl", make: () => bufCurl(gateway.url) },
  { name: "connect-web in Chromium", make: () => page?.client(gateway.url) },
];

beforeAll(async () => {
  if (noBrowser === undefined) page = await openPage();
  else console.log(`skipped: connect-web in Chromium: ${noBrowser}`);
  gateway = await startGateway({ corsOrigins: page === undefined ? [] : [page.origin] });
});

afterAll(async () => {
  await page?.close();
  await gateway?.close();
});

let asked = 0;

function questionOf(feature: Feature, format: Format): Question {
  const model = models[format];
  // A script of its own for every cell, so that the simulator's counts of attempts do not mix.
  const script = JSON.stringify({ sim_script: { ...(feature.script as object), id: `cell-${asked++}` } });
  const url = `data:image/jpeg;base64,${photograph.toString("base64")}`;
  const content = feature.image
    ? [
        { type: "image_url", image_url: { url } },
        { type: "text", text: script },
      ]
    : script;
  const text = { part: { case: "text" as const, value: script } };
  const image = {
    part: {
      case: "image" as const,
      value: { source: { case: "data" as const, value: new Uint8Array(photograph) }, mimeType: "image/jpeg" },
    },
  };
  return {
    chat: {
      model,
      messages: [
        { role: "system", content: "Be brief." },
        { role: "user", content },
      ],
      ...feature.chat,
    },
    core: {
      model,
      messages: [
        { role: Role.SYSTEM, parts: [{ part: { case: "text", value: "Be brief." } }] },
        { role: Role.USER, parts: feature.image ? [image, text] : [text] },
      ],
      ...feature.core,
    },
  };
}

for (const { name, make } of clients) {
  const cannotRun = name.includes("Chromium") && noBrowser !== undefined;
  describe.skipIf(cannotRun).each(formats)(`${name} to %s`, (format) => {
    test.each(features)("$name", async (feature) => {
      const client = make();
      if (client === undefined) throw new Error("the browser's page did not open");
      gateway.reset();
      try {
        const answer = await client.ask(questionOf(feature, format));
        feature.expect(answer, format, gateway);
        await gateway.expectBillsAgree();
      } finally {
        await client.close?.();
      }
    });
  });
}
