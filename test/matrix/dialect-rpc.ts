/** The native contract: Generate and Complete, by a generated Connect client over gRPC. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import {
  type CompleteResponse,
  FinishReason,
  type GenerateRequestSchema,
  type GenerateResponse,
  type MessageSchema,
  OutputKind,
  ReasoningDisplay,
  ReasoningEffort,
  ReasoningMode,
  Role,
  ToolChoiceMode,
} from "../../gen/dragoman/v1/generate_pb.ts";
import { InferenceService } from "../../gen/dragoman/v1/inference_service_pb.ts";
import { TranslationAction, type TranslationNote } from "../../gen/dragoman/v1/usage_pb.ts";
import { ErrorInfoSchema } from "../../gen/google/rpc/error_details_pb.ts";
import { Fold } from "../../src/core/fold.ts";
import { type Asking, type DialectClient, holdsUnknown } from "./dialect.ts";
import { parseOr } from "./dialect-chat.ts";
import {
  type Answer,
  type Failure,
  type Finish,
  type Note,
  type Scene,
  type SceneMedia,
  type SceneTurn,
  unknownField,
  unknownValue,
} from "./scene.ts";

type RequestInit = MessageInitShape<typeof GenerateRequestSchema>;
type MessageInit = MessageInitShape<typeof MessageSchema>;
type PartInit = NonNullable<Exclude<MessageInit["parts"], undefined>>[number];

/** `extrasFormat`: unknown fields of the contract are those of a vendor's format, by its name. */
export function createRpcClient(extrasFormat: () => string): DialectClient {
  return {
    name: "dragoman",
    format: "dragoman",
    cacheSeconds: 3600,
    lacks: new Set(),
    async ask(asking, scene) {
      const client = createClient(InferenceService, createGrpcTransport({ baseUrl: asking.url }));
      const request = writeRequest(asking, scene, extrasFormat());
      const events: GenerateResponse[] = [];
      try {
        if (!asking.stream) return readAnswer(await client.complete({ generate: request }));
        for await (const event of client.generate(request)) events.push(event);
        return readAnswer(new Fold().addAll(events).response());
      } catch (thrown) {
        return { ...readAnswer(new Fold().addAll(events).response()), failure: readFailure(thrown, events.length > 0) };
      }
    },
  };
}

function writeRequest({ model, strict }: Asking, scene: Scene, extrasFormat: string): RequestInit {
  const { choice, output, topLogprobs, candidates, maxTokens, stop, seed } = scene;
  return {
    model,
    messages: [
      ...(scene.system === undefined ? [] : [{ role: Role.SYSTEM, parts: [text(scene.system)] }]),
      ...(scene.developer === undefined ? [] : [{ role: Role.DEVELOPER, parts: [text(scene.developer)] }]),
      ...scene.turns.map(writeTurn),
    ],
    tools: (scene.tools ?? []).map(({ name, description, schema }) => ({
      tool: { case: "function" as const, value: { name, description, parametersJson: JSON.stringify(schema) } },
    })),
    ...(choice !== undefined && {
      toolChoice:
        typeof choice === "string"
          ? { mode: choice === "none" ? ToolChoiceMode.NONE : ToolChoiceMode.REQUIRED }
          : { mode: ToolChoiceMode.TOOL, toolName: choice.name },
    }),
    ...(output !== undefined && {
      outputFormat:
        output === "json"
          ? { kind: OutputKind.JSON_OBJECT }
          : { kind: OutputKind.JSON_SCHEMA, name: output.name, schemaJson: JSON.stringify(output.schema), strict: true },
    }),
    ...(scene.effort && {
      reasoning: {
        effort: scene.effort === "low" ? ReasoningEffort.LOW : ReasoningEffort.HIGH,
        mode: ReasoningMode.ENABLED,
        display: ReasoningDisplay.SUMMARY,
      },
    }),
    sampling: {
      ...(maxTokens !== undefined && { maxOutputTokens: maxTokens }),
      ...(stop && { stop: [...stop] }),
      ...(seed !== undefined && { seed: BigInt(seed) }),
      ...(candidates !== undefined && { candidateCount: candidates }),
      ...(topLogprobs !== undefined && { logprobs: true, topLogprobs }),
    },
    ...(strict && { options: { strict } }),
    ...(scene.unknown && { extrasJson: { [extrasFormat]: JSON.stringify({ [unknownField]: unknownValue }) } }),
  };
}

function text(value: string): PartInit {
  return { part: { case: "text", value } };
}

function writeTurn(turn: SceneTurn): MessageInit {
  switch (turn.role) {
    case "user": {
      const words = {
        part: { case: "text" as const, value: turn.text },
        ...(turn.cacheSeconds !== undefined && { cache: { ttlSeconds: turn.cacheSeconds } }),
      };
      return { role: Role.USER, parts: [...(turn.media ?? []).map(writeMedia), words] };
    }
    case "assistant":
      return {
        role: Role.ASSISTANT,
        parts: [
          ...(turn.text === "" ? [] : [text(turn.text)]),
          ...(turn.calls ?? []).map(({ id, name, arguments: input }) => ({
            part: { case: "toolCall" as const, value: { id, name, argumentsJson: JSON.stringify(input) } },
          })),
        ],
      };
    case "replay":
      return turn.answer.native as MessageInit;
    case "tool":
      return {
        role: Role.TOOL,
        parts: turn.results.map(({ id, name, text: words, isError = false, image }) => ({
          part: {
            case: "toolResult" as const,
            value: {
              toolCallId: id,
              name,
              isError,
              content: [
                { part: { case: "text" as const, value: words } },
                ...(image === undefined
                  ? []
                  : [
                      {
                        part: {
                          case: "image" as const,
                          value: { source: { case: "data" as const, value: new Uint8Array(image) }, mimeType: "image/png" },
                        },
                      },
                    ]),
              ],
            },
          },
        })),
      };
  }
}

function writeMedia(media: SceneMedia): PartInit {
  const source = "url" in media ? { case: "url" as const, value: media.url } : { case: "data" as const, value: new Uint8Array(media.data) };
  const filename = media.kind === "file" ? media.filename : "";
  return { part: { case: media.kind, value: { source, mimeType: media.mimeType, filename } } };
}

const finishes: Readonly<Record<number, Finish>> = {
  [FinishReason.STOP]: "stop",
  [FinishReason.STOP_SEQUENCE]: "stop_sequence",
  [FinishReason.LENGTH]: "length",
  [FinishReason.TOOL_CALLS]: "tool_calls",
  [FinishReason.CONTENT_FILTER]: "content_filter",
  [FinishReason.REFUSAL]: "refusal",
};

const actions: Readonly<Record<number, Note["action"]>> = {
  [TranslationAction.DROPPED]: "dropped",
  [TranslationAction.COERCED]: "coerced",
  [TranslationAction.EMULATED]: "emulated",
  [TranslationAction.DEFAULTED]: "defaulted",
};

function readNotes(notes: readonly TranslationNote[]): Note[] {
  return notes.map(({ action, path, clientPath }) => ({ action: actions[action] ?? "changed", path: clientPath || path }));
}

function readAnswer(response: CompleteResponse): Answer {
  const { candidates, settled } = response;
  const usage = settled?.usage ?? response.usage;
  return {
    candidates: candidates.map(({ message, finished }) => {
      const parts = message?.parts ?? [];
      const join = (read: (part: (typeof parts)[number]["part"]) => string) => parts.map(({ part }) => read(part)).join("");
      return {
        text: join((part) => (part.case === "text" ? part.value : "")),
        reasoning: join((part) => (part.case === "reasoning" ? part.value.text + part.value.summaries.join("") : "")),
        calls: parts.flatMap(({ part }) =>
          part.case === "toolCall" ? [{ id: part.value.id, name: part.value.name, arguments: parseOr(part.value.argumentsJson) }] : [],
        ),
        refusal: join((part) => (part.case === "refusal" ? part.value : "")),
        citations: parts.flatMap(({ annotations }) =>
          annotations.flatMap(({ source }) => (source.case === "url" ? [source.value.url] : [])),
        ),
        logprobs: parts.reduce((sum, { logprobs }) => sum + logprobs.length, 0),
        finish: finished === undefined ? "" : (finishes[finished.reason] ?? "stop"),
      };
    }),
    usage:
      usage === undefined
        ? undefined
        : {
            input: usage.inputTokens ?? 0,
            output: usage.outputTokens ?? 0,
            cacheRead: usage.cacheReadTokens,
            cacheWrite: usage.cacheWriteTokens,
            reasoning: usage.reasoningTokens,
          },
    failure: undefined,
    notes: readNotes(settled?.translation ?? []),
    unknownSeen: holdsUnknown(
      [
        response.extrasJson,
        response.opaque,
        candidates.map(({ extrasJson, message }) => [extrasJson, message?.extrasJson, message?.parts.map((part) => part.extrasJson)]),
      ]
        .map((value) => JSON.stringify(value).replaceAll('\\"', '"'))
        .join("")
        .includes('"sim_unknown"')
        ? { sim_unknown: 1 }
        : null,
    ),
    native: candidates[0]?.message,
  };
}

/** HTTP's numbers for the codes, as surfaces.md 2.7 pairs them. */
const statuses: Partial<Record<Code, number>> = {
  [Code.InvalidArgument]: 400,
  [Code.FailedPrecondition]: 400,
  [Code.Unauthenticated]: 401,
  [Code.PermissionDenied]: 403,
  [Code.NotFound]: 404,
  [Code.ResourceExhausted]: 429,
  [Code.Internal]: 500,
  [Code.Unimplemented]: 501,
  [Code.Unavailable]: 502,
  [Code.DeadlineExceeded]: 504,
};

function readFailure(thrown: unknown, midStream: boolean): Failure {
  const error = ConnectError.from(thrown);
  return {
    status: midStream ? 0 : (statuses[error.code] ?? 500),
    reason: error.findDetails(ErrorInfoSchema)[0]?.reason.toLowerCase() ?? "",
    message: error.rawMessage,
  };
}
