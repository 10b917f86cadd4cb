/** The tool calls of one choice: fragments by wire index become blocks, and what the writer emulated is undone. */
import { BlockKind, type Signature, ToolKind } from "../../../gen/dragoman/v1/generate_pb.ts";
import type { CallState } from "../../core/call-state.ts";
import { unwrapInput } from "../../core/custom-tool.ts";
import { deltaEvent, type EventBuilder } from "../../core/event.ts";
import { ulid } from "../../core/id.ts";
import { isJsonObject, type JsonObject, type JsonValue, jsonText, type WritableObject, writeJson } from "../../core/json.ts";
import { format } from "./wire.ts";

/** How the arguments of a call reach the events. */
type Manner = "arguments" | "input" | "wrappedInput" | "answer";

interface OpenCall {
  id: string;
  name: string;
  isCustom: boolean;
  /** Undefined until the name is known. */
  block: number | undefined;
  manner: Manner;
  /** Fragments that came before the name, or that are undone as a whole at the end. */
  waiting: string;
  signature: string;
  extras: string | undefined;
}

export interface ToolCallFacts {
  readonly builder: EventBuilder;
  readonly candidate: number;
  /** Id of the answer, for calls that have none of their own. */
  readonly answerId: () => string;
  readonly state: CallState | undefined;
}

export class ToolCallReader {
  readonly #facts: ToolCallFacts;
  /** By wire index; a new id on a used index replaces the call, whose block stays open. */
  readonly #byIndex = new Map<number, OpenCall>();
  readonly #calls: OpenCall[] = [];
  /** Real calls, those that stand for an output schema left out. */
  #realCalls = 0;
  #schemaCalls = 0;

  constructor(facts: ToolCallFacts) {
    this.#facts = facts;
  }

  get hasCalls(): boolean {
    return this.#realCalls > 0;
  }

  get hasSchemaAnswer(): boolean {
    return this.#schemaCalls > 0;
  }

  /** One entry of `tool_calls`; `position` is its place in the list. */
  read(entry: JsonObject, position: number): void {
    const { index, id, type, function: fn, custom, extra_content: extraContent, ...rest } = entry;
    const definition = isJsonObject(fn) ? fn : isJsonObject(custom) ? custom : {};
    const isNamed = typeof definition.name === "string" && definition.name !== "";
    const call = this.#find(typeof index === "number" ? index : undefined, typeof id === "string" ? id : "", isNamed, position);
    if (call.block === undefined) {
      if (type === "custom" || (fn === undefined && isJsonObject(custom))) call.isCustom = true;
      if (typeof definition.name === "string") call.name = definition.name;
      call.extras ??= unknownMembers(rest, definition, call.isCustom ? "custom" : "function");
    }
    call.signature = readSignature(extraContent) ?? call.signature;
    const fragment = argumentText(call.isCustom ? definition.input : definition.arguments);
    const unknown = call.block === undefined ? undefined : unknownMembers(rest, definition, "function");
    if (call.block === undefined && call.name !== "") this.#open(call);
    if (unknown !== undefined && call.manner === "arguments") this.#growWithUnknown(call, fragment, unknown);
    else this.#grow(call, fragment);
  }

  /** The old `function_call`: one call without an id. */
  readFunctionCall(call: JsonObject): void {
    this.read({ index: -1, function: call }, 0);
  }

  /** Ends all calls, when the choice finishes. */
  end(): void {
    const { builder, candidate } = this.#facts;
    for (const call of this.#calls) {
      if (call.block === undefined) this.#open(call);
      const block = call.block as number;
      if (call.manner === "wrappedInput") builder.text(candidate, block, unwrapInput(call.waiting));
      const signature: Signature | undefined =
        call.signature === "" ? undefined : { $typeName: "dragoman.v1.Signature", value: call.signature, format: "gemini", provider: "" };
      builder.endBlock(candidate, block, signature === undefined ? {} : { signature });
    }
    this.#calls.length = 0;
    this.#byIndex.clear();
  }

  #find(index: number | undefined, id: string, isNamed: boolean, position: number): OpenCall {
    const key = index ?? this.#keyWithoutIndex(id !== "" || isNamed, position);
    const known = this.#byIndex.get(key);
    if (known !== undefined && (id === "" || known.id === id || known.id === "")) {
      if (known.id === "" && known.block === undefined) known.id = id;
      return known;
    }
    const call: OpenCall = {
      id,
      name: "",
      isCustom: false,
      block: undefined,
      manner: "arguments",
      waiting: "",
      signature: "",
      extras: undefined,
    };
    this.#byIndex.set(key, call);
    this.#calls.push(call);
    return call;
  }

  /** Servers without indexes, and whole replies: who has an id or a name is a call of its own, the rest goes on with the last one. */
  #keyWithoutIndex(isNew: boolean, position: number): number {
    const last = [...this.#byIndex.keys()].at(-1);
    if (last === undefined) return position;
    return isNew ? Math.max(...this.#byIndex.keys()) + 1 : last;
  }

  #open(call: OpenCall): void {
    const { builder, candidate, state } = this.#facts;
    call.manner = mannerOf(call, state);
    if (call.manner === "answer") {
      this.#schemaCalls++;
      call.block = builder.startBlock(candidate, BlockKind.TEXT);
    } else {
      const id = call.id === "" ? `dgm_${this.#facts.answerId() || ulid()}_${candidate}_${this.#realCalls}` : call.id;
      this.#realCalls++;
      const isCustom = call.manner === "input" || call.manner === "wrappedInput";
      const toolCall = {
        $typeName: "dragoman.v1.ToolCall",
        id,
        name: state?.originalName(call.name) ?? call.name,
        argumentsJson: "",
        inputText: "",
        kind: isCustom ? ToolKind.CUSTOM : ToolKind.FUNCTION,
      } as const;
      call.block = builder.startBlock(
        candidate,
        BlockKind.TOOL_CALL,
        { toolCall },
        call.extras === undefined ? undefined : { [format]: call.extras },
      );
    }
    const waited = call.waiting;
    call.waiting = "";
    this.#grow(call, waited);
  }

  /** A later piece with members that are not modelled. */
  #growWithUnknown({ block }: OpenCall, fragment: string, unknown: string): void {
    const { builder, candidate } = this.#facts;
    const piece = deltaEvent(candidate, block ?? 0, { case: "argumentsJson", value: fragment });
    builder.push({ ...piece, extrasJson: { [format]: unknown } });
  }

  #grow(call: OpenCall, fragment: string): void {
    if (fragment === "") return;
    const { builder, candidate } = this.#facts;
    if (call.block === undefined || call.manner === "wrappedInput") call.waiting += fragment;
    else if (call.manner === "arguments") builder.argumentsJson(candidate, call.block, fragment);
    else builder.text(candidate, call.block, fragment);
  }
}

function mannerOf({ name, isCustom }: OpenCall, state: CallState | undefined): Manner {
  if (isCustom) return "input";
  if (state === undefined || name === "") return "arguments";
  if (name === state.schemaTool) return "answer";
  return state.customTools.has(name) ? "wrappedInput" : "arguments";
}

/** Some servers send arguments as an object instead of text. */
function argumentText(value: JsonValue | undefined): string {
  if (typeof value === "string") return value;
  return value === undefined || value === null ? "" : jsonText(value);
}

function readSignature(extraContent: JsonValue | undefined): string | undefined {
  const google = isJsonObject(extraContent) ? extraContent.google : undefined;
  const signature = isJsonObject(google) ? google.thought_signature : undefined;
  return typeof signature === "string" && signature !== "" ? signature : undefined;
}

function unknownMembers(rest: JsonObject, definition: JsonObject, name: string): string | undefined {
  const { name: _name, arguments: _arguments, input: _input, ...inner } = definition;
  const unknown: WritableObject = {};
  for (const key of Object.keys(rest)) if (rest[key] !== null) unknown[key] = rest[key] as WritableObject[string];
  if (Object.keys(inner).length > 0) unknown[name] = inner as WritableObject;
  return Object.keys(unknown).length === 0 ? undefined : writeJson(unknown);
}
