/**
 * The provider `sim`: models inside the process, always there. They answer by echo or by script, deterministically;
 * nothing here knows anything.
 */
import { randomBytes } from "node:crypto";
import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import {
  type Embedding,
  EmbeddingSchema,
  EmbeddingType,
  type EmbedInput,
  type EmbedRequest,
  EmbedResponseSchema,
} from "../../gen/dragoman/v1/embed_pb.ts";
import type { GenerateRequest } from "../../gen/dragoman/v1/generate_pb.ts";
import { type Model, ModelCapability, ModelKind, ModelModality, ModelSchema } from "../../gen/dragoman/v1/model_pb.ts";
import { UsageBasis, UsageSchema } from "../../gen/dragoman/v1/usage_pb.ts";
import { type AttemptCall, throwIfStopped } from "../core/call.ts";
import { type Clock, systemClock } from "../core/clock.ts";
import { GatewayError, invalidField } from "../core/error.ts";
import { type EventBatch, startedEvent } from "../core/event.ts";
import { JsonError } from "../core/json.ts";
import type { Provider } from "../core/provider.ts";
import type { ModelTraits, Target } from "../core/target.ts";
import { Attempts, chooseScript } from "./choose-script.ts";
import { behaviourOf } from "./model-name.ts";
import { simDefaults } from "./options.ts";
import type { Pace } from "./pace.ts";
import type { Prompt } from "./prompt.ts";
import { readPrompt } from "./read-prompt.ts";
import { type Script, ScriptError } from "./script.ts";
import { SimAnswer } from "./sim-answer.ts";
import { tokensOf } from "./tokens.ts";
import { maxDimensions, vectorOf } from "./vectors.ts";

export interface SimProviderOptions {
  /** The configured name. */
  readonly name?: string;
  readonly ttftMs?: number;
  /** 0: as fast as it goes. */
  readonly tokensPerSecond?: number;
  /** Length of vectors where a request does not say. */
  readonly dimensions?: number;
  readonly clock?: Clock;
}

const contextWindow = 1_000_000;

export function createSimProvider(options: SimProviderOptions = {}): Provider {
  return new SimProvider(options);
}

class SimProvider implements Provider {
  readonly name: string;
  readonly listsFullNames = true;
  readonly #pace: Pace;
  readonly #dimensions: number;
  readonly #clock: Clock;
  readonly #attempts = new Attempts();

  constructor({ name = "sim", ttftMs = simDefaults.ttftMs, tokensPerSecond = simDefaults.tokensPerSecond, ...rest }: SimProviderOptions) {
    this.name = name;
    this.#pace = { ttftMs, tokensPerSecond };
    this.#dimensions = rest.dimensions ?? simDefaults.dimensions;
    this.#clock = rest.clock ?? systemClock;
  }

  async *generate(request: GenerateRequest, target: Target, call: AttemptCall): AsyncIterable<EventBatch> {
    throwIfStopped(call);
    const behaviour = behaviourOf(target.model);
    if (behaviour.kind === "any" || behaviour.kind === "missing" || behaviour.kind === "embed")
      throw unknownModel(target.model, "generates text");
    const prompt = readRequest(request);
    const answer = new SimAnswer(this.name, prompt, this.#script(target.model, prompt, request), request, call);
    const upstreamId = `sim-${randomBytes(9).toString("base64url")}`;
    call.attempt.upstreamRequestId = upstreamId;
    const started = startedEvent({
      servedModel: target.model,
      provider: this.name,
      target: target.id,
      upstreamId,
      createdAt: timestampFromMs(this.#clock.wall()),
    });
    if (call.options?.explain) yield { events: [started] };
    else yield* answer.batches(started, this.#pace);
  }

  embed = async (request: EmbedRequest, target: Target, call: AttemptCall) => {
    throwIfStopped(call);
    if (behaviourOf(target.model).kind !== "embed") throw unknownModel(target.model, "embeds");
    const dimensions = request.dimensions ?? this.#dimensions;
    if (dimensions > maxDimensions) throw invalidField("dimensions", `must be at most ${maxDimensions}`);
    const refused = request.types.findIndex((type) => type !== EmbeddingType.FLOAT);
    if (refused !== -1) throw invalidField(`types[${refused}]`, "the simulated model makes FLOAT vectors only");
    const texts = request.inputs.map(inputText);
    call.attempt.httpStatus = 200;
    const embeddings: Embedding[] = texts.map((text, index) =>
      create(EmbeddingSchema, { index, type: EmbeddingType.FLOAT, values: vectorOf(text, dimensions), inputTokens: tokensOf(text) }),
    );
    const inputTokens = texts.reduce((sum, text) => sum + tokensOf(text), 0);
    return create(EmbedResponseSchema, {
      embeddings,
      dimensions,
      servedModel: target.model,
      provider: this.name,
      target: target.id,
      usage: create(UsageSchema, { inputTokens, basis: UsageBasis.PROVIDER }),
    });
  };

  async listModels(): Promise<Model[]> {
    return listed.map(({ id, description, kind }) =>
      create(ModelSchema, {
        id,
        displayName: `Simulated: ${id}`,
        description,
        ownedBy: this.name,
        providers: [this.name],
        upstreamModel: id,
        createdAt: timestampFromMs(Date.UTC(2025, 0, 1)),
        kinds: [kind],
        available: true,
        ...(kind === ModelKind.EMBED
          ? { embeddingDimensions: this.#dimensions, inputModalities: [ModelModality.TEXT] }
          : { contextWindow, capabilities, inputModalities: modalities, outputModalities: [ModelModality.TEXT] }),
      }),
    );
  }

  traits(model: string): ModelTraits {
    if (behaviourOf(model).kind === "embed") return { embeddingDimensions: this.#dimensions };
    return {
      contextWindow,
      sampling: true,
      midSystem: true,
      prefill: false,
      structuredOutput: true,
      tools: true,
      vision: true,
      reasoning: "both",
      imageUrls: true,
      toolResultImages: true,
    };
  }

  async close(): Promise<void> {}

  #script(model: string, prompt: Prompt, request: GenerateRequest): Script {
    try {
      return chooseScript(model, prompt, () => `${model} ${prompt.userTexts.join("\n")} ${request.messages.length}`, this.#attempts);
    } catch (error) {
      if (error instanceof ScriptError) throw invalidField(error.path, error.message.slice(error.path.length + 2));
      throw error;
    }
  }
}

const listed = [
  { id: "echo", description: "Answers with the last user text", kind: ModelKind.GENERATE },
  { id: "script", description: "Plays the sim_script in the last user text", kind: ModelKind.GENERATE },
  { id: "embed", description: "Stable unit vectors without meaning", kind: ModelKind.EMBED },
];
const modalities = [ModelModality.TEXT, ModelModality.IMAGE, ModelModality.AUDIO, ModelModality.FILE];
const capabilities = [
  ModelCapability.TOOLS,
  ModelCapability.PARALLEL_TOOLS,
  ModelCapability.REASONING,
  ModelCapability.STRUCTURED_OUTPUT,
  ModelCapability.LOGPROBS,
  ModelCapability.STREAMING,
  ModelCapability.MID_SYSTEM,
  ModelCapability.SAMPLING,
];

function readRequest(request: GenerateRequest): Prompt {
  try {
    return readPrompt(request);
  } catch (error) {
    if (error instanceof JsonError) throw new GatewayError("invalid_request", `a schema of the request is no JSON: ${error.message}`);
    throw error;
  }
}

function inputText({ input }: EmbedInput, index: number): string {
  switch (input.case) {
    case "text":
      return input.value;
    case "tokens":
      return input.value.ids.join(" ");
    case "parts": {
      const texts = input.value.parts.map(({ part }) => (part.case === "text" ? part.value : undefined));
      if (texts.includes(undefined)) throw invalidField(`inputs[${index}].parts`, "the simulated model embeds text only");
      return texts.join("\n");
    }
    default:
      throw invalidField(`inputs[${index}]`, "is empty");
  }
}

function unknownModel(model: string, what: string): GatewayError {
  const names = listed.map(({ id }) => id).join(", ");
  return new GatewayError("model_not_found", `no simulated model ${JSON.stringify(model)} ${what}; there are ${names} (docs/simulator.md)`);
}
