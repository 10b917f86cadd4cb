/** What every OpenAI path shares: credential, error envelope, and its words for wrong fields. */
import { boundOf, type Issue, isObject, type JsonObject, pathText, type Shape } from "../../shape.ts";
import { newId } from "../ids.ts";
import { type Problem, Refusal } from "../problem.ts";
import type { Vendor } from "../wire.ts";

const types: Readonly<Record<number, string>> = {
  400: "invalid_request_error",
  401: "invalid_request_error",
  403: "invalid_request_error",
  404: "invalid_request_error",
  429: "requests",
  503: "service_unavailable_error",
};
const messages: Readonly<Record<number, string>> = {
  400: "The request was refused.",
  429: "Rate limit reached for requests. Please try again later.",
  500: "The server had an error while processing your request. Sorry about that!",
  502: "Bad gateway.",
  503: "That model is currently overloaded with other requests. You can retry your request.",
  504: "The request timed out.",
  529: "The engine is currently overloaded, please try again later.",
};

export const openaiVendor: Vendor = {
  name: "openai",
  credential(headers) {
    const key = /^Bearer\s+(\S+)$/i.exec(headers.authorization ?? "")?.[1] ?? "";
    if (key === "") {
      const message =
        "You didn't provide an API key. You need to provide your API key in an Authorization header using Bearer auth (i.e. Authorization: Bearer YOUR_KEY).";
      return { key, problem: { status: 401, message } };
    }
    if (!key.includes("bad")) return { key };
    const shown = `${key.slice(0, 3)}***${key.slice(-4)}`;
    const message = `Incorrect API key provided: ${shown}. You can find your API key at https://platform.openai.com/account/api-keys.`;
    return { key, problem: { status: 401, code: "invalid_api_key", message } };
  },
  error({ status, message, type, code, param }: Problem): JsonObject {
    return {
      error: {
        message: message ?? messages[status] ?? `The request failed with status ${status}.`,
        type: type ?? types[status] ?? (status < 500 ? "invalid_request_error" : "server_error"),
        param: param ?? null,
        code: code ?? (status === 429 ? "rate_limit_exceeded" : null),
      },
    };
  },
  headers: (requestId) => ({ "x-request-id": requestId, "openai-version": "2020-10-01", "openai-processing-ms": "1" }),
};

export function refuse(message: string, param: string | null = null, code: string | null = null): never {
  throw new Refusal({ status: 400, message, param, code });
}

/** The first issue in OpenAI's words. Chat and embeddings name unknown members of the body in a way of their own. */
export function refuseIssues(issues: readonly Issue[], { namesArguments }: { namesArguments: boolean }): void {
  const top = issues.filter(({ kind, path }) => kind === "unknown" && path.length === 1).map(({ path }) => String(path[0]));
  if (namesArguments && top.length > 0) {
    refuse(`Unrecognized request argument${top.length > 1 ? "s" : ""} supplied: ${top.sort().join(", ")}`);
  }
  const [issue] = issues;
  if (issue === undefined) return;
  const param = pathText(issue.path);
  refuse(...wordsOf(issue, param));
}

function wordsOf({ kind, found, shape }: Issue, param: string): [message: string, param: string, code: string | null] {
  switch (kind) {
    case "unknown":
      return [`Unknown parameter: '${param}'.`, param, "unknown_parameter"];
    case "missing":
      return [`Missing required parameter: '${param}'.`, param, "missing_required_parameter"];
    case "type":
      return [`Invalid type for '${param}': expected ${expected(shape)}, but got ${typeName(found)} instead.`, param, "invalid_type"];
    case "word":
    case "variant": {
      const words = shape.is === "string" ? (shape.words ?? []) : shape.is === "variants" ? Object.keys(shape.of) : [];
      const at = shape.is === "variants" ? `${param === "" ? "" : `${param}.`}${shape.by}` : param;
      const value = shape.is === "variants" && isObject(found) ? found[shape.by] : found;
      return [`Invalid value: '${String(value)}'. Supported values are: ${quoted(words)}.`, at, "invalid_value"];
    }
    case "low":
    case "high": {
      const unit = shape.is === "integer" ? "integer" : "decimal";
      const side = kind === "low" ? "below minimum" : "above maximum";
      const bound = boundOf(shape, kind === "low" ? "min" : "max");
      const sign = kind === "low" ? ">=" : "<=";
      return [
        `Invalid '${param}': ${unit} ${side} value. Expected a value ${sign} ${bound}, but got ${String(found)} instead.`,
        param,
        `${unit}_${kind === "low" ? "below_min" : "above_max"}_value`,
      ];
    }
    case "short":
    case "long":
      return lengthWords(kind, found, shape, param);
    case "pattern": {
      const pattern = shape.is === "string" ? shape.pattern?.source : "";
      return [
        `Invalid '${param}': string does not match pattern. Expected a string that matches the pattern '${pattern}'.`,
        param,
        "invalid_value",
      ];
    }
  }
}

function lengthWords(kind: "short" | "long", found: unknown, shape: Shape, param: string): [string, string, string] {
  const thing = shape.is === "string" ? "string" : shape.is === "map" ? "object" : "array";
  const length = isObject(found) ? Object.keys(found).length : (found as string | unknown[]).length;
  const bound = boundOf(shape, kind === "short" ? "min" : "max");
  if (length === 0) {
    return [
      `Invalid '${param}': empty ${thing}. Expected ${article(thing)} with minimum length ${bound}, but got an empty ${thing} instead.`,
      param,
      `empty_${thing}`,
    ];
  }
  const [side, word] = kind === "short" ? ["minimum", "short"] : ["maximum", "long"];
  return [
    `Invalid '${param}': ${thing} too ${word}. Expected ${article(thing)} with ${side} length ${bound}, but got ${article(thing)} with length ${length} instead.`,
    param,
    `${thing}_${kind === "short" ? "below_min" : "above_max"}_length`,
  ];
}

function expected(shape: Shape): string {
  switch (shape.is) {
    case "string":
    case "boolean":
      return `a ${shape.is}`;
    case "number":
      return "a decimal";
    case "integer":
      return "an integer";
    case "list":
      return "an array";
    case "either":
      return `one of ${shape.of.map(expected).join(" or ")}`;
    case "later":
      return expected(shape.shape());
    default:
      return "an object";
  }
}

function typeName(value: unknown): string {
  if (value === null) return "null";
  if (Array.isArray(value)) return "an array";
  if (typeof value === "object") return "an object";
  if (typeof value === "number") return Number.isInteger(value) ? "an integer" : "a decimal";
  return `a ${typeof value}`;
}

function article(thing: string): string {
  return thing === "string" ? "a string" : `an ${thing}`;
}

function quoted(words: readonly string[]): string {
  const marked = words.map((one) => `'${one}'`);
  const last = marked.pop();
  return marked.length === 0 ? (last ?? "") : `${marked.join(", ")}${marked.length > 1 ? "," : ""} and ${last}`;
}

/** The vendor's answer for a model that it does not know. */
export function refuseModel(model: string): never {
  throw new Refusal({
    status: 404,
    message: `The model \`${model}\` does not exist or you do not have access to it.`,
    code: "model_not_found",
  });
}

/** Whether a model thinks before it answers: such models refuse max_tokens and other temperatures than 1. */
export function isReasoningModel(model: string): boolean {
  return /^(?:o\d|gpt-5)/.test(model);
}

export function newFingerprint(): string {
  return newId("fp_").slice(0, 13);
}
