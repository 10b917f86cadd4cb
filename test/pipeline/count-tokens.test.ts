import { create } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { CallOptionsSchema } from "../../gen/dragoman/v1/call_pb.ts";
import { GenerateRequestSchema, Role } from "../../gen/dragoman/v1/generate_pb.ts";
import { CountTokensResponseSchema } from "../../gen/dragoman/v1/inference_service_pb.ts";
import { UsageBasis } from "../../gen/dragoman/v1/usage_pb.ts";
import type { AttemptCall, Call } from "../../src/core/call.ts";
import { systemClock } from "../../src/core/clock.ts";
import { GatewayError, type Reason } from "../../src/core/error.ts";
import { createPrincipal } from "../../src/core/principal.ts";
import type { Provider } from "../../src/core/provider.ts";
import type { Tokenizers } from "../../src/core/tokenizer.ts";
import { createCallStarter } from "../../src/pipeline/call-starter.ts";
import { countTokens } from "../../src/pipeline/count-tokens.ts";

const request = create(GenerateRequestSchema, {
  model: "p/m",
  messages: [{ role: Role.USER, parts: [{ part: { case: "text", value: "twelve chars" } }] }],
});
const target = { id: "p/m", provider: "p", model: "m", traits: {} };
const seven: Tokenizers = {
  find: (model) =>
    model === "m" ? Promise.resolve({ countText: () => 7, countInput: () => ({ tokens: 7, isCounted: true }) }) : undefined,
};

function providerThat(count: Provider["countTokens"]): Provider {
  return { name: "p", traits: () => ({}), close: async () => {}, ...(count === undefined ? {} : { countTokens: count }) };
}

function startCall(signal = new AbortController().signal, strict = false): Call {
  const { call } = createCallStarter({ clock: systemClock, maxTimeoutMs: 60_000 }).start({
    operation: "count_tokens",
    surface: "rpc",
    dialect: "dragoman",
    principal: createPrincipal({ id: "tester", scopes: new Set(["*"]) }),
    header: () => undefined,
    options: create(CallOptionsSchema, { strict }),
    clientSignal: signal,
  });
  return { ...call, targets: [target] };
}

function count(provider: Provider | undefined, { tokenizers = seven, call = startCall() }: { tokenizers?: Tokenizers; call?: Call } = {}) {
  return countTokens({ router: { provider: () => provider }, tokenizers })(request, call);
}

const fails = (reason: Reason) =>
  providerThat(async () => {
    throw new GatewayError(reason, "no");
  });

describe("who counts", () => {
  test("the provider, with its own notes, and no attempt on record", async () => {
    const call = startCall();
    let seen: AttemptCall | undefined;
    const provider = providerThat(async (_request, _target, asking) => {
      seen = asking;
      return create(CountTokensResponseSchema, { inputTokens: 42, cacheReadTokens: 2 });
    });
    expect(await count(provider, { call })).toMatchObject({
      inputTokens: 42,
      cacheReadTokens: 2,
      basis: UsageBasis.PROVIDER,
      servedModel: "m",
      provider: "p",
    });
    expect(call.attempts).toEqual([]);
    expect(call.translation).toEqual([]);
    expect(seen?.requestId).toBe(call.requestId);
  });

  test("the model's tokenizer where the provider has no count", async () => {
    expect(await count(providerThat(undefined))).toMatchObject({ inputTokens: 7, basis: UsageBasis.COUNTED });
    expect(await count(undefined)).toMatchObject({ inputTokens: 7, basis: UsageBasis.COUNTED });
  });

  test("an estimate where there is no tokenizer, or where it had to guess", async () => {
    expect(await count(undefined, { tokenizers: { find: () => undefined } })).toMatchObject({
      inputTokens: 7,
      basis: UsageBasis.ESTIMATED,
    });
    const guesses: Tokenizers = { find: async () => ({ countText: () => 1, countInput: () => ({ tokens: 99, isCounted: false }) }) };
    expect(await count(undefined, { tokenizers: guesses })).toMatchObject({ inputTokens: 99, basis: UsageBasis.ESTIMATED });
  });
});

describe("a provider that fails to count", () => {
  test.each<Reason>(["provider_error", "rate_limited", "quota_exhausted", "timeout", "no_target", "unsupported"])(
    "%s: it is counted here, and the label says so",
    async (reason) => {
      expect(await count(fails(reason))).toMatchObject({ inputTokens: 7, basis: UsageBasis.COUNTED, provider: "p" });
    },
  );

  test.each<Reason>(["invalid_request", "untranslatable", "context_exceeded", "too_large"])("%s: the client is told", async (reason) => {
    await expect(count(fails(reason))).rejects.toMatchObject({ reason });
  });

  test("a client that leaves ends the call, and nothing is counted here", async () => {
    const client = new AbortController();
    const provider = providerThat(async (_request, _target, { signal }) => {
      client.abort();
      throw signal.reason;
    });
    await expect(count(provider, { call: startCall(client.signal) })).rejects.toMatchObject({ reason: "cancelled" });
  });
});
