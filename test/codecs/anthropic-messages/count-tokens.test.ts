import { create } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { ServiceTier } from "../../../gen/dragoman/v1/call_pb.ts";
import { ReasoningMode } from "../../../gen/dragoman/v1/generate_pb.ts";
import { CountTokensResponseSchema } from "../../../gen/dragoman/v1/inference_service_pb.ts";
import { UsageBasis } from "../../../gen/dragoman/v1/usage_pb.ts";
import { createAnthropicMessagesCodec, anthropicCountTokensDialect as dialect } from "../../../src/codecs/anthropic-messages/index.ts";
import type { TokenCountCodec } from "../../../src/core/dialect.ts";
import { GatewayError } from "../../../src/core/error.ts";
import { parseJson } from "../../../src/core/json.ts";
import { request, targetWith, user } from "./written.ts";

const counting = createAnthropicMessagesCodec({ path: "/messages", sendsEndUserId: true }).counting as TokenCountCodec;

describe("the dialect", () => {
  test("reads the call, and writes the count alone", () => {
    const { generate, clientPath } = dialect.readRequest(
      parseJson('{"model":"claude","system":"s","messages":[{"role":"user","content":"hi"}],"tools":[{"name":"f","input_schema":{}}]}'),
      {},
    );
    expect([generate.model, generate.messages.length, generate.tools.length]).toEqual(["claude", 2, 1]);
    expect(["messages[0].parts[0]", "messages[1].parts[0]"].map((path) => clientPath?.(path))).toEqual(["system", "messages[0].content"]);
    const response = create(CountTokensResponseSchema, {
      inputTokens: 14,
      provider: "anthropic",
      extrasJson: { "anthropic-messages": '{"context_management":{"original_input_tokens":20}}' },
    });
    expect(dialect.writeResponse(response)).toBe('{"input_tokens":14,"context_management":{"original_input_tokens":20}}');
  });
});

describe("the codec", () => {
  test("sends what counts, and nothing of the answer", () => {
    const asked = request({
      messages: [user("hi")],
      tools: [{ tool: { case: "function", value: { name: "f" } } }],
      toolChoice: { mode: 1 },
      sampling: { maxOutputTokens: 8000, temperature: 1.5, stop: ["x"], seed: 1n },
      reasoning: { mode: ReasoningMode.ENABLED, budgetTokens: 2000 },
      attribution: { endUserId: "u" },
      metadata: { team: "a" },
      serviceTier: ServiceTier.FLEX,
      cache: { automatic: true },
      extrasJson: { "anthropic-messages": '{"container":"c","mcp_servers":[],"betas":["b"],"inference_geo":"eu"}' },
    } as Parameters<typeof request>[0]);
    const before = JSON.stringify(asked.sampling?.stop);
    const { path, headers, body, report } = counting.writeRequest(asked, targetWith({ reasoning: "both" }));
    expect(path).toBe("/messages/count_tokens");
    expect(headers["anthropic-beta"]).toBe("b");
    expect(JSON.parse(body)).toEqual({
      model: "claude-x",
      messages: [{ role: "user", content: [{ type: "text", text: "hi" }] }],
      tools: [{ name: "f", input_schema: { type: "object", properties: {} } }],
      tool_choice: { type: "auto" },
      thinking: { type: "enabled", budget_tokens: 2000 },
      cache_control: { type: "ephemeral" },
      mcp_servers: [],
    });
    expect(report.notes).toEqual([]);
    expect(JSON.stringify(asked.sampling?.stop)).toBe(before);
  });

  test("reads the count, and what is not modelled", () => {
    const read = counting.readResponse('{"input_tokens":14,"context_management":null}', "anthropic");
    expect(read).toMatchObject({
      inputTokens: 14,
      basis: UsageBasis.PROVIDER,
      extrasJson: { "anthropic-messages": '{"context_management":null}' },
    });
  });

  test.each(["", "{}", "[]", '{"input_tokens":-1}', "<html>"])("%j holds no count", (body) => {
    expect(() => counting.readResponse(body, "anthropic")).toThrow(GatewayError);
  });
});
