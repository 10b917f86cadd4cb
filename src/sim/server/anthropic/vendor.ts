/** What every Anthropic path shares: credential, version, error envelope, and its words for wrong fields. */
import { boundOf, type Issue, isObject, type JsonObject, type Path, type Shape } from "../../shape.ts";
import { newId } from "../ids.ts";
import { type Problem, Refusal } from "../problem.ts";
import type { Vendor } from "../wire.ts";

const types: Readonly<Record<number, string>> = {
  400: "invalid_request_error",
  401: "authentication_error",
  402: "billing_error",
  403: "permission_error",
  404: "not_found_error",
  413: "request_too_large",
  429: "rate_limit_error",
  504: "timeout_error",
  529: "overloaded_error",
};
const messages: Readonly<Record<number, string>> = {
  429: "This request would exceed your account's rate limit. Please try again later.",
  500: "Internal server error",
  504: "Request timed out",
  529: "Overloaded",
};

export const anthropicVendor: Vendor = {
  name: "anthropic",
  credential(headers) {
    const bearer = /^Bearer\s+(\S+)$/i.exec(headers.authorization ?? "")?.[1];
    const key = String(headers["x-api-key"] ?? bearer ?? "");
    if (key === "") return { key, problem: { status: 401, message: "x-api-key header is required" } };
    if (!key.includes("bad")) return { key };
    return { key, problem: { status: 401, message: bearer === undefined ? "invalid x-api-key" : "Invalid bearer token" } };
  },
  error({ status, message, type }: Problem): JsonObject {
    return {
      type: "error",
      error: {
        type: type ?? types[status] ?? "api_error",
        message: message ?? messages[status] ?? `The request failed with status ${status}.`,
      },
      request_id: newId("req_"),
    };
  },
  headers: (requestId) => ({ "request-id": requestId }),
};

export function refuse(message: string, status = 400): never {
  throw new Refusal({ status, message });
}

/** The first issue; the vendor's validation reports one at a time. */
export function refuseIssues([issue]: readonly Issue[]): void {
  if (issue !== undefined) refuse(`${placeOf(issue.path)}: ${wordsOf(issue)}`);
}

/** Steps with dots; variants that were taken stand in the path. */
function placeOf(path: Path): string {
  return path.map((step) => (typeof step !== "object" ? String(step) : "variant" in step ? step.variant : step.entry)).join(".");
}

function wordsOf({ kind, found, shape }: Issue): string {
  switch (kind) {
    case "unknown":
      return "Extra inputs are not permitted";
    case "missing":
      return "Field required";
    case "word":
      return `Input should be ${either(shape.is === "string" ? (shape.words ?? []) : [])}`;
    case "variant": {
      if (shape.is !== "variants") return "Input is not valid";
      const tag = isObject(found) ? String(found[shape.by]) : "";
      const tags = Object.keys(shape.of).map((one) => `'${one}'`);
      return `Input tag '${tag}' found using '${shape.by}' does not match any of the expected tags: ${tags.join(", ")}`;
    }
    case "low":
      return `Input should be greater than or equal to ${boundOf(shape, "min")}`;
    case "high":
      return `Input should be less than or equal to ${boundOf(shape, "max")}`;
    case "short":
      return shape.is === "string"
        ? `String should have at least ${boundOf(shape, "min")} character`
        : `List should have at least ${boundOf(shape, "min")} item after validation, not 0`;
    case "long":
      return shape.is === "string"
        ? `String should have at most ${boundOf(shape, "max")} characters`
        : `List should have at most ${boundOf(shape, "max")} items after validation`;
    case "pattern":
      return `String should match pattern '${shape.is === "string" ? shape.pattern?.source : ""}'`;
    case "type":
      return `Input should be a valid ${typeName(shape)}`;
  }
}

function typeName(shape: Shape): string {
  switch (shape.is) {
    case "list":
      return "list";
    case "either":
      return typeName(shape.of[0] ?? shape);
    case "later":
      return typeName(shape.shape());
    case "string":
    case "boolean":
    case "number":
    case "integer":
      return shape.is;
    default:
      return "dictionary";
  }
}

function either(words: readonly string[]): string {
  const marked = words.map((one) => `'${one}'`);
  const last = marked.pop();
  return marked.length === 0 ? (last ?? "") : `${marked.join(", ")} or ${last}`;
}
