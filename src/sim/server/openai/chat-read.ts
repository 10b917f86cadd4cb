/** Checks a chat request as strictly as the vendor and reads it. */
import { behaviourOf } from "../../model-name.ts";
import { conversation, type Prompt, type Turn } from "../../prompt.ts";
import { checkShape, isObject, type JsonObject } from "../../shape.ts";
import { splitUnknown } from "../unknown.ts";
import type { Reading, RequestFacts } from "../wire.ts";
import { chatShape } from "./chat-shape.ts";
import { strictSchemaProblem } from "./strict-schema.ts";
import { isReasoningModel, refuse, refuseIssues, refuseModel } from "./vendor.ts";

interface ChatMessage {
  readonly role: string;
  readonly content?: string | readonly JsonObject[] | null;
  readonly tool_calls?: readonly ChatCall[] | null;
  readonly tool_call_id?: string;
}

interface ChatCall {
  readonly id: string;
  readonly type: string;
  readonly function?: { readonly name: string; readonly arguments: string };
}

interface ChatTool {
  readonly type: string;
  readonly function?: { readonly name: string; readonly parameters?: unknown; readonly strict?: boolean | null };
}

export function readChat({ body, lenient }: RequestFacts): Reading {
  if (typeof body.model !== "string" || body.model === "") refuse("you must provide a model parameter");
  const { rest, unknown } = splitUnknown(checkShape(body, chatShape), lenient);
  refuseIssues(rest, { namesArguments: true });
  const model = String(body.model);
  if (behaviourOf(model).kind === "missing") refuseModel(model);
  const messages = body.messages as readonly ChatMessage[];
  const tools = (body.tools ?? []) as readonly ChatTool[];
  checkOrder(messages);
  checkParameters(body, model);
  checkFormats(body, messages, tools);
  return { model, prompt: readPrompt(body, messages, tools), stream: body.stream === true, array: false, unknown, body };
}

/** Every call is answered by the tool messages right behind it, and nothing else is. */
function checkOrder(messages: readonly ChatMessage[]): void {
  let open = new Set<string>();
  messages.forEach((message, index) => {
    if (message.role === "tool") {
      if (!open.delete(String(message.tool_call_id))) {
        refuse(
          "Invalid parameter: messages with role 'tool' must be a response to a preceeding message with 'tool_calls'.",
          `messages.[${index}].role`,
        );
      }
      return;
    }
    refuseUnanswered(open, index);
    open = new Set(message.tool_calls?.map(({ id }) => id));
    if (
      message.role === "assistant" &&
      isAbsent(message.content) &&
      !message.tool_calls &&
      !("refusal" in message) &&
      !("audio" in message) &&
      !("function_call" in message)
    ) {
      refuse(`Invalid value for 'content': expected a string, got null.`, `messages.[${index}].content`);
    }
  });
  refuseUnanswered(open, messages.length);
}

function refuseUnanswered(open: ReadonlySet<string>, index: number): void {
  if (open.size === 0) return;
  const ids = [...open].join(", ");
  refuse(
    `An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'. The following tool_call_ids did not have response messages: ${ids}`,
    `messages.[${index}].role`,
  );
}

function checkParameters(body: JsonObject, model: string): void {
  const given = (name: string) => !isAbsent(body[name]);
  if (given("max_tokens") && given("max_completion_tokens"))
    refuse("Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported.");
  if (given("stream_options") && body.stream !== true) {
    refuse("The 'stream_options' parameter is only allowed when 'stream' is enabled.", "stream_options");
  }
  if (given("top_logprobs") && body.logprobs !== true)
    refuse("Invalid value for 'top_logprobs': 'logprobs' must be set to true.", "top_logprobs");
  if (given("tool_choice") && !given("tools")) {
    refuse("Invalid value for 'tool_choice': 'tool_choice' is only allowed when 'tools' are specified.", "tool_choice");
  }
  if (given("parallel_tool_calls") && !given("tools")) {
    refuse(
      "Invalid value for 'parallel_tool_calls': 'parallel_tool_calls' is only allowed when 'tools' are specified.",
      "parallel_tool_calls",
    );
  }
  if (!isReasoningModel(model)) return;
  if (given("max_tokens")) {
    refuse(
      "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
      "max_tokens",
      "unsupported_parameter",
    );
  }
  if (given("stop")) refuse("Unsupported parameter: 'stop' is not supported with this model.", "stop", "unsupported_parameter");
  if (given("temperature") && body.temperature !== 1) {
    refuse(
      `Unsupported value: 'temperature' does not support ${String(body.temperature)} with this model. Only the default (1) value is supported.`,
      "temperature",
      "unsupported_value",
    );
  }
}

function checkFormats(body: JsonObject, messages: readonly ChatMessage[], tools: readonly ChatTool[]): void {
  const format = isObject(body.response_format) ? body.response_format : undefined;
  if (format?.type === "json_object" && !messages.some(({ content }) => /json/i.test(JSON.stringify(content ?? "")))) {
    refuse("'messages' must contain the word 'json' in some form, to use 'response_format' of type 'json_object'.", "messages");
  }
  if (format?.type === "json_schema") {
    const { name, schema, strict } = format.json_schema as { name: string; schema?: unknown; strict?: boolean | null };
    if (isAbsent(schema)) {
      refuse(
        "Missing required parameter: 'response_format.json_schema.schema'.",
        "response_format.json_schema.schema",
        "missing_required_parameter",
      );
    }
    const problem = strict === true ? strictSchemaProblem(schema) : undefined;
    if (problem !== undefined) refuse(`Invalid schema for response_format '${name}': ${problem}`, "response_format");
  }
  tools.forEach((tool, index) => {
    const { name, parameters, strict } = tool.function ?? {};
    const problem = strict === true ? strictSchemaProblem(parameters ?? {}) : undefined;
    if (problem !== undefined) {
      refuse(`Invalid schema for function '${name}': ${problem}`, `tools[${index}].function.parameters`, "invalid_function_parameters");
    }
  });
  const choice = isObject(body.tool_choice) && isObject(body.tool_choice.function) ? body.tool_choice.function.name : undefined;
  if (choice !== undefined && !tools.some((tool) => tool.function?.name === choice)) {
    refuse(`Tool choice 'function' not found in 'tools' parameter.`, "tool_choice");
  }
}

function readPrompt(body: JsonObject, messages: readonly ChatMessage[], tools: readonly ChatTool[]): Prompt {
  const { stop } = body;
  return {
    ...conversation(messages.map(readTurn)),
    maxOutputTokens: (body.max_completion_tokens ?? body.max_tokens ?? undefined) as number | undefined,
    stop: typeof stop === "string" ? [stop] : ((stop ?? []) as string[]),
    candidates: Number(body.n ?? 1),
    output: readOutput(body.response_format),
    forcedTool: readForcedTool(body.tool_choice, tools),
    // Chat shows no reasoning of its own accord.
    reasoning: body.reasoning_effort === "none" ? "off" : "default",
  };
}

function readTurn({ role, content, tool_calls }: ChatMessage): Turn {
  const texts =
    typeof content === "string" ? [content] : (content ?? []).flatMap((part) => (typeof part.text === "string" ? [part.text] : []));
  const other = (tool_calls ?? []).flatMap((call) => (call.function === undefined ? [] : [call.function.name, call.function.arguments]));
  if (role === "tool" || role === "function") return { speaker: "tool", texts: [], toolResults: [texts.join("")] };
  const speaker = role === "assistant" ? "model" : role === "user" ? "user" : "system";
  return { speaker, texts, toolResults: [], other };
}

function readOutput(format: unknown): Prompt["output"] {
  if (!isObject(format)) return undefined;
  if (format.type === "json_object") return { kind: "object" };
  return isObject(format.json_schema) ? { kind: "schema", schema: format.json_schema.schema } : undefined;
}

function readForcedTool(choice: unknown, tools: readonly ChatTool[]): Prompt["forcedTool"] {
  let allowed: unknown[] | undefined;
  if (choice === "required") allowed = [];
  else if (isObject(choice) && isObject(choice.function)) allowed = [choice.function.name];
  else if (isObject(choice) && isObject(choice.allowed_tools) && choice.allowed_tools.mode === "required") {
    const listed = choice.allowed_tools.tools as { function?: { name?: unknown } }[];
    allowed = listed.map((tool) => tool.function?.name);
  }
  if (allowed === undefined) return undefined;
  for (const tool of tools) {
    if (tool.function === undefined || (allowed.length > 0 && !allowed.includes(tool.function.name))) continue;
    return { name: tool.function.name, parameters: tool.function.parameters ?? {} };
  }
  return undefined;
}

function isAbsent(value: unknown): boolean {
  return value === undefined || value === null;
}
