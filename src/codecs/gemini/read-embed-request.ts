/** A client's requests for embeddings: `embedContent` and `batchEmbedContents`. https://ai.google.dev/api/embeddings */
import { create } from "@bufbuild/protobuf";
import { type EmbedInput, EmbedInputSchema, type EmbedRequest, EmbedRequestSchema, EmbedTask } from "../../../gen/dragoman/v1/embed_pb.ts";
import type { RequestFacts } from "../../core/dialect.ts";
import { invalidField } from "../../core/error.ts";
import { describe, Fields } from "../../core/fields.ts";
import { isJsonObject, type JsonValue } from "../../core/json.ts";
import { CallPairs } from "./call-pairs.ts";
import { readProtoNames } from "./proto-json.ts";
import { readPart } from "./read-part.ts";
import { readModel } from "./read-request.ts";
import { byWord, formatName, modelResource, taskTypes } from "./wire.ts";

export interface ReadEmbed {
  readonly embed: EmbedRequest;
  /** Answers repeat nothing of their request. */
  readonly rendering: undefined;
}

type Settings = Pick<EmbedRequest, "task" | "title" | "dimensions" | "extrasJson">;

const tasks = byWord(taskTypes);

/** Throws invalid_request with the path of the wrong field. */
export function readEmbedRequest(body: JsonValue, facts: RequestFacts): ReadEmbed {
  const fields = new Fields(readProtoNames(body));
  const model = readModel(fields, facts);
  const input = readInput(fields);
  return { embed: makeRequest(model, [input], readSettings(fields)), rendering: undefined };
}

/** One call has one model and one way to embed: requests that differ in them are refused. */
export function readBatchEmbedRequest(body: JsonValue, facts: RequestFacts): ReadEmbed {
  const fields = new Fields(readProtoNames(body));
  const requests = fields.objects("requests") ?? fields.fail("requests", "is required");
  const [first] = requests;
  if (first === undefined) return fields.fail("requests", "must not be empty");
  const model = facts.model ?? readModel(first, facts);
  const inputs: EmbedInput[] = [];
  let shared: Settings | undefined;
  for (const request of requests) {
    const named = request.string("model");
    if (named !== undefined && modelResource(named) !== modelResource(model)) {
      request.fail("model", "must be the model of the whole batch: send requests for other models apart");
    }
    inputs.push(readInput(request));
    const settings = readSettings(request);
    shared ??= settings;
    checkSame(settings, shared, request.path);
  }
  return { embed: makeRequest(model, inputs, shared ?? readSettings(fields)), rendering: undefined };
}

function makeRequest(model: string, inputs: EmbedInput[], { task, title, dimensions, extrasJson }: Settings): EmbedRequest {
  return create(EmbedRequestSchema, { model, inputs, task, title, extrasJson, ...(dimensions === undefined ? {} : { dimensions }) });
}

/** Text alone is a text; any other content, parts. */
function readInput(fields: Fields): EmbedInput {
  const path = fields.pathOf("content");
  const value = fields.value("content") ?? fields.fail("content", "is required");
  const content = new Fields(typeof value === "string" ? { parts: [{ text: value }] } : value, path);
  content.value("role");
  const given = content.peek("parts");
  const elements = isJsonObject(given) ? [{ value: given, path: content.pathOf("parts") }] : content.array("parts");
  if (elements === undefined || elements.length === 0) return content.fail("parts", "must have at least one part");
  const parts = elements.map((part, index) => {
    const read = readPart(part, new CallPairs(), 0, index);
    const { case: kind } = read.part;
    if (kind === "text" || kind === "image" || kind === "audio" || kind === "video" || kind === "file") return read;
    throw invalidField(part.path, `must be text or media, not ${kind === undefined ? describe(part.value) : kind}`);
  });
  const [only] = parts;
  if (parts.length === 1 && only?.part.case === "text" && Object.keys(only.extrasJson).length === 0 && only.signature === undefined) {
    return create(EmbedInputSchema, { input: { case: "text", value: only.part.value } });
  }
  return create(EmbedInputSchema, { input: { case: "parts", value: { parts } } });
}

function readSettings(fields: Fields): Settings {
  const task = fields.knownWord("taskType", tasks) ?? EmbedTask.UNSPECIFIED;
  const title = fields.string("title") ?? "";
  const dimensions = fields.integer("outputDimensionality", { min: 1, max: 0xffff_ffff });
  return { task, title, extrasJson: fields.extras(formatName), ...(dimensions === undefined ? {} : { dimensions }) };
}

function checkSame(settings: Settings, shared: Settings, path: string): void {
  const differs = (name: string) => invalidField(`${path}.${name}`, "must be the same in all requests of a batch: send others apart");
  if (settings.task !== shared.task) throw differs("taskType");
  if (settings.title !== shared.title) throw differs("title");
  if (settings.dimensions !== shared.dimensions) throw differs("outputDimensionality");
  if (settings.extrasJson[formatName] !== shared.extrasJson[formatName]) {
    throw invalidField(path, "must have the same further fields as the other requests of the batch: send it apart");
  }
}

const settingNames: Readonly<Record<string, string>> = {
  task: "taskType",
  title: "title",
  dimensions: "outputDimensionality",
  truncation: "autoTruncate",
};

/** Places in the core request in the words of either method. */
export function embedClientPath(method: "embedContent" | "batchEmbedContents"): (path: string) => string {
  return (path) => {
    const input = /^inputs\[(\d+)\](?:\.parts)?(\.parts\[\d+\])?(.*)$/.exec(path);
    if (input !== null) {
      const [, index = "0", part = "", member = ""] = input;
      return `${method === "embedContent" ? "" : `requests[${index}].`}content${part}${member}`;
    }
    const setting = settingNames[path] ?? path;
    return method === "embedContent" ? setting : `requests[0].${setting}`;
  };
}
