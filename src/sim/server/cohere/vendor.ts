/** What every Cohere path shares: credential, error envelope, and its words for wrong fields. */
import { boundOf, type Issue, type JsonObject, pathText, type Shape } from "../../shape.ts";
import { newId } from "../ids.ts";
import { type Problem, Refusal } from "../problem.ts";
import type { Vendor } from "../wire.ts";

const messages: Readonly<Record<number, string>> = {
  402: "Please add or update your payment method at https://dashboard.cohere.com/billing?tab=payment to continue",
  429: "You are using a Trial key, which is limited to 20 API calls / minute. You can continue to use the Trial key for free or upgrade to a Production key with higher rate limits.",
  498: "invalid token",
  500: "internal server error",
  503: "upstream connect error or disconnect/reset before headers",
  504: "gateway timeout",
};

export const cohereVendor: Vendor = {
  name: "cohere",
  credential(headers) {
    const key = /^Bearer\s+(\S+)$/i.exec(headers.authorization ?? "")?.[1] ?? "";
    if (key === "") return { key, problem: { status: 401, message: "no api key supplied" } };
    return key.includes("bad") ? { key, problem: { status: 401, message: "invalid api token" } } : { key };
  },
  error({ status, message }: Problem): JsonObject {
    return { id: newId(""), message: message ?? messages[status] ?? `the request failed with status ${status}` };
  },
  headers: (requestId) => ({ "x-debug-trace-id": requestId, "x-api-warning": "" }),
};

export function refuse(message: string, status = 400): never {
  throw new Refusal({ status, message });
}

export function refuseModel(model: string): never {
  refuse(`model '${model}' not found, make sure the correct model ID was used and that you have access to the model.`, 404);
}

/** The first issue; names that are not known come before all else. */
export function refuseIssues(issues: readonly Issue[]): void {
  const unknown = issues.find(({ kind }) => kind === "unknown");
  if (unknown !== undefined) refuse(`unknown field: parameter '${pathText(unknown.path)}' is not a valid field`, 422);
  const [issue] = issues;
  if (issue !== undefined) refuse(wordsOf(issue, pathText(issue.path)));
}

function wordsOf({ kind, found, shape }: Issue, name: string): string {
  switch (kind) {
    case "missing":
      return `invalid request: '${name}' is required.`;
    case "low":
    case "high":
      return `invalid request: ${name} must be between ${boundOf(shape, "min")} and ${boundOf(shape, "max")} inclusive.`;
    case "short":
    case "long":
      return `invalid request: ${name} must have ${kind === "short" ? "at least" : "at most"} ${boundOf(shape, kind === "short" ? "min" : "max")} elements.`;
    case "word":
      return `invalid request: ${name} must be one of ${shape.is === "string" ? (shape.words ?? []).join(", ") : ""}.`;
    case "variant":
      return `invalid request: ${name} has an unknown ${shape.is === "variants" ? shape.by : "type"}.`;
    case "pattern":
      return `invalid request: ${name} can only contain letters, numbers and underscores.`;
    default:
      return `invalid type: parameter '${name}' is of type ${typeName(found)} but should be of type ${expected(shape)}.`;
  }
}

function typeName(value: unknown): string {
  if (value === null) return "null";
  return Array.isArray(value) ? "array" : typeof value;
}

function expected(shape: Shape): string {
  switch (shape.is) {
    case "number":
      return "float32";
    case "integer":
      return "int";
    case "boolean":
      return "bool";
    case "list":
      return "array";
    case "string":
      return "string";
    case "either":
      return shape.of.map(expected).join(" or ");
    case "later":
      return expected(shape.shape());
    default:
      return "object";
  }
}
