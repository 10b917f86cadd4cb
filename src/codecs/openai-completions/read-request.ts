/** A client's completion request, read: the prompt is what a user says. */
import { create } from "@bufbuild/protobuf";
import { AttributionSchema } from "../../../gen/dragoman/v1/call_pb.ts";
import {
  type GenerateRequest,
  GenerateRequestSchema,
  MessageSchema,
  PartSchema,
  Role,
  type Sampling,
  SamplingSchema,
} from "../../../gen/dragoman/v1/generate_pb.ts";
import type { DialectRequest } from "../../core/dialect.ts";
import { invalidField } from "../../core/error.ts";
import { describe, Fields } from "../../core/fields.ts";
import { isJsonObject, type JsonValue } from "../../core/json.ts";
import { clientPath } from "./client-path.ts";
import type { Rendering } from "./rendering.ts";
import { format } from "./wire.ts";

const maxModelLength = 256;
const maxUserLength = 256;
/** Most prompts of one request: each is a call of its own. */
const maxPrompts = 128;
const maxLogprobs = 20;

/** One request for each prompt, and one that the answer to all of them is written for. */
export interface CompletionRequests {
  readonly answer: DialectRequest;
  readonly each: readonly DialectRequest[];
}

/** Clients send chat requests to this path as well (surfaces.md C3): such a body is one of the chat dialect. */
export function isChatBody(body: JsonValue): boolean {
  return isJsonObject(body) && body.messages !== undefined && (body.prompt === undefined || body.prompt === null);
}

/** Throws invalid_request with the path of the wrong field in the client's own words. Several prompts are refused. */
export function readRequest(body: JsonValue): DialectRequest {
  const { answer, each } = readCompletionRequests(body);
  if (each.length > 1) throw invalidField("prompt", "must be one text");
  return answer;
}

/** The same for any number of prompts: run each by itself, buffered, and join the answers with joinCompletions. */
export function readCompletionRequests(body: JsonValue): CompletionRequests {
  const fields = new Fields(body);
  const model = readModel(fields);
  const prompts = readPrompts(fields);
  const sampling = readSampling(fields);
  refuseOthers(fields, sampling);
  const stream = fields.boolean("stream");
  if (stream === true && prompts.length > 1) fields.fail("prompt", "must be one text where stream is true");
  const includeUsage = fields.object("stream_options")?.boolean("include_usage") ?? false;
  const echo = fields.boolean("echo") ?? false;
  if (echo && sampling?.logprobs === true) fields.fail("echo", "must be false beside logprobs: those of a prompt are not known");
  const attribution = readUser(fields);
  const extrasJson = fields.extras(format);
  const perPrompt = sampling?.candidateCount ?? 1;
  const each = prompts.map((prompt, index): DialectRequest => {
    const generate = create(GenerateRequestSchema, { model, messages: [userSays(prompt)], extrasJson: { ...extrasJson } });
    if (sampling !== undefined) generate.sampling = sampling;
    if (attribution !== undefined) generate.attribution = attribution;
    const rendering: Rendering = { echoes: echo ? [prompt] : [], perPrompt };
    const place = prompts.length === 1 ? "prompt" : `prompt[${index}]`;
    return { generate, stream, includeUsage, rendering, clientPath: (path) => clientPath(path, place) };
  });
  const [first] = each;
  if (first === undefined) return fields.fail("prompt", "must not be empty");
  return { answer: { ...first, rendering: { echoes: echo ? prompts : [], perPrompt } satisfies Rendering }, each };
}

function userSays(text: string): GenerateRequest["messages"][number] {
  return create(MessageSchema, { role: Role.USER, parts: [create(PartSchema, { part: { case: "text", value: text } })] });
}

function readModel(fields: Fields): string {
  const model = fields.requiredString("model");
  if (model === "") fields.fail("model", "must not be empty");
  return model.length > maxModelLength ? fields.fail("model", `must have at most ${maxModelLength} characters`) : model;
}

function readPrompts(fields: Fields): string[] {
  const value = fields.value("prompt");
  if (value === undefined) return fields.fail("prompt", "is required");
  const prompts = Array.isArray(value) ? value : [value];
  if (prompts.length > maxPrompts) fields.fail("prompt", `must hold at most ${maxPrompts} texts`);
  return prompts.map((prompt, index) => {
    const path = Array.isArray(value) ? `prompt[${index}]` : "prompt";
    if (typeof prompt === "number" || Array.isArray(prompt)) throw invalidField("prompt", "must be text: token ids are not taken");
    if (typeof prompt !== "string") throw invalidField(path, `must be a string, not ${describe(prompt)}`);
    if (prompt === "") throw invalidField(path, "must not be empty");
    return prompt;
  });
}

function readSampling(fields: Fields): Sampling | undefined {
  const logprobs = fields.integer("logprobs", { min: 0, max: maxLogprobs });
  const values = {
    maxOutputTokens: fields.integer("max_tokens"),
    temperature: fields.number("temperature", { min: 0 }),
    topP: fields.number("top_p", { min: 0, max: 1 }),
    topK: fields.integer("top_k"),
    stop: readStop(fields),
    seed: fields.integer64("seed"),
    candidateCount: fields.integer("n", { min: 1, max: 128 }),
    frequencyPenalty: fields.number("frequency_penalty"),
    presencePenalty: fields.number("presence_penalty"),
    // Here a number says both: that there are any, and how many alternatives.
    logprobs: logprobs === undefined ? undefined : true,
    topLogprobs: logprobs === undefined || logprobs === 0 ? undefined : logprobs,
    logitBias: readLogitBias(fields),
    minP: fields.number("min_p", { min: 0, max: 1 }),
    repetitionPenalty: fields.number("repetition_penalty", { min: Number.MIN_VALUE }),
  };
  const given = Object.entries(values).filter(([, value]) => value !== undefined);
  return given.length === 0 ? undefined : create(SamplingSchema, Object.fromEntries(given));
}

function readStop(fields: Fields): string[] | undefined {
  if (typeof fields.peek("stop") === "string") {
    const stop = fields.requiredString("stop");
    return stop === "" ? fields.fail("stop", "must not be empty") : [stop];
  }
  const stops = fields.strings("stop");
  const empty = stops?.indexOf("") ?? -1;
  if (empty !== -1) throw invalidField(`stop[${empty}]`, "must not be empty");
  return stops;
}

function readLogitBias(fields: Fields): Record<number, number> | undefined {
  const bias = fields.object("logit_bias");
  if (bias === undefined) return undefined;
  const read: Record<number, number> = {};
  for (const token of bias.unread()) {
    if (!/^\d{1,10}$/.test(token) || Number(token) > 0xffff_ffff) bias.fail(token, "must be a token id, a whole number");
    read[Number(token)] = bias.number(token) ?? bias.fail(token, "must be a number");
  }
  return read;
}

/** What models that chat cannot do (surfaces.md C3). A value that asks for nothing is none. */
function refuseOthers(fields: Fields, sampling: Sampling | undefined): void {
  const suffix = fields.string("suffix") ?? "";
  if (suffix !== "") fields.fail("suffix", "is not supported: text is not written before other text");
  const bestOf = fields.integer("best_of");
  if (bestOf !== undefined && bestOf !== (sampling?.candidateCount ?? 1)) {
    fields.fail("best_of", "is not supported: all answers are returned; use n");
  }
}

function readUser(fields: Fields): GenerateRequest["attribution"] {
  const user = fields.string("user");
  if (user === undefined || user === "") return undefined;
  if (user.length > maxUserLength) fields.fail("user", `must have at most ${maxUserLength} characters`);
  return create(AttributionSchema, { endUserId: user });
}
