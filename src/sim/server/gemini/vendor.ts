/** What every Gemini path shares: credential, error envelope, and its words for wrong fields. */
import { type Issue, type JsonObject, type Path, pathText, type Shape } from "../../shape.ts";
import { type Problem, Refusal } from "../problem.ts";
import type { Vendor } from "../wire.ts";

const statuses: Readonly<Record<number, string>> = {
  400: "INVALID_ARGUMENT",
  401: "UNAUTHENTICATED",
  403: "PERMISSION_DENIED",
  404: "NOT_FOUND",
  429: "RESOURCE_EXHAUSTED",
  500: "INTERNAL",
  501: "UNIMPLEMENTED",
  503: "UNAVAILABLE",
  504: "DEADLINE_EXCEEDED",
};
const messages: Readonly<Record<number, string>> = {
  400: "Request contains an invalid argument.",
  429: "Resource has been exhausted (e.g. check quota).",
  500: "An internal error has occurred. Please retry or report in https://developers.generativeai.google/guide/troubleshooting",
  503: "The model is overloaded. Please try again later.",
  504: "The request timed out. Please try again.",
};
const domain = "googleapis.com";
const badKey: Problem = { status: 400, message: "API key not valid. Please pass a valid API key.", reason: "API_KEY_INVALID" };
const noKey: Problem = {
  status: 403,
  message:
    "Method doesn't allow unregistered callers (callers without established identity). Please use API Key or other form of API consumer identity to call this API.",
};

export const geminiVendor: Vendor = {
  name: "gemini",
  credential(headers, query) {
    const bearer = /^Bearer\s+(\S+)$/i.exec(headers.authorization ?? "")?.[1];
    const key = String(headers["x-goog-api-key"] ?? query.get("key") ?? bearer ?? "");
    if (key === "") return { key, problem: noKey };
    return key.includes("bad") ? { key, problem: badKey } : { key };
  },
  error({ status, message, type, fields, reason, retryAfter }: Problem): JsonObject {
    const details: JsonObject[] = [];
    if (fields !== undefined) details.push({ "@type": "type.googleapis.com/google.rpc.BadRequest", fieldViolations: fields });
    if (reason === "API_KEY_INVALID") {
      const metadata = { service: "generativelanguage.googleapis.com" };
      details.push({ "@type": "type.googleapis.com/google.rpc.ErrorInfo", reason, domain, metadata });
      details.push({ "@type": "type.googleapis.com/google.rpc.LocalizedMessage", locale: "en-US", message });
    } else if (reason !== undefined) {
      const violations = [{ quotaMetric: `${domain}/generate_content_free_tier_requests`, quotaId: reason }];
      details.push({ "@type": "type.googleapis.com/google.rpc.QuotaFailure", violations });
    }
    if (retryAfter !== undefined && /^\d+$/.test(retryAfter)) {
      details.push({ "@type": "type.googleapis.com/google.rpc.RetryInfo", retryDelay: `${retryAfter}s` });
    }
    return {
      error: {
        code: status,
        message: message ?? messages[status] ?? `The request failed with status ${status}.`,
        status: type ?? statuses[status] ?? (status < 500 ? "INVALID_ARGUMENT" : "UNAVAILABLE"),
        ...(details.length > 0 ? { details } : {}),
      },
    };
  },
  headers: () => ({ server: "scaffolding on HTTPServer2" }),
};

export function refuse(message: string, status = 400): never {
  throw new Refusal({ status, message });
}

/** Issues of the JSON itself, all at once, as the service's own JSON reader reports them. */
export function refuseIssues(issues: readonly Issue[]): void {
  const wrong = issues.filter(({ kind }) => kind === "unknown" || kind === "type" || kind === "word");
  if (wrong.length > 0) {
    const fields = wrong.map((issue) => ({ field: violationField(issue), description: wordsOf(issue) }));
    throw new Refusal({ status: 400, message: fields.map(({ description }) => description).join("\n"), fields });
  }
  const [issue] = issues;
  if (issue !== undefined) refuse(`* GenerateContentRequest.${protoPath(issue.path)}: ${limitWords(issue)}\n`);
}

function violationField({ kind, path }: Issue): string {
  return protoPath(kind === "unknown" ? path.slice(0, -1) : path);
}

function wordsOf({ kind, path, found, shape }: Issue): string {
  if (kind === "unknown") {
    const parent = protoPath(path.slice(0, -1));
    const at = parent === "" ? "" : ` at '${parent}'`;
    return `Invalid JSON payload received. Unknown name "${String(path.at(-1))}"${at}: Cannot find field.`;
  }
  if (Array.isArray(found) && !takesList(shape)) {
    const parent = protoPath(path.slice(0, -1));
    return `Invalid JSON payload received. Unknown name "${String(path.at(-1))}"${parent === "" ? "" : ` at '${parent}'`}: Proto field is not repeating, cannot start list.`;
  }
  return `Invalid value at '${protoPath(path)}' (${typeName(shape, kind)}), ${JSON.stringify(found)}`;
}

function limitWords({ kind, shape }: Issue): string {
  if (kind === "missing") return "is required";
  if (kind === "pattern") {
    return "Invalid function name. Must start with a letter or an underscore. Must be alphameric (a-z, A-Z, 0-9), underscores (_), dots (.), colons (:), or dashes (-), with a maximum length of 64.";
  }
  const bounds = "min" in shape || "max" in shape ? ` [${String(shape.is === "map" ? 0 : shape.min)}, ${String(shape.max)}]` : "";
  return `must be in the supported range${bounds}`;
}

function takesList(shape: Shape): boolean {
  if (shape.is === "either") return shape.of.some(takesList);
  return shape.is === "list" || shape.is === "any";
}

function typeName(shape: Shape, kind: Issue["kind"]): string {
  if (kind === "word") return "TYPE_ENUM";
  switch (shape.is) {
    case "string":
      return "TYPE_STRING";
    case "boolean":
      return "TYPE_BOOL";
    case "integer":
      return "TYPE_INT32";
    case "number":
      return "TYPE_FLOAT";
    case "list":
      return typeName(shape.of, kind);
    case "later":
      return typeName(shape.shape(), kind);
    case "object":
      return shape.type === "" ? "Map" : `type.googleapis.com/google.ai.generativelanguage.v1beta.${shape.type}`;
    default:
      return "Map";
  }
}

/** The service tells paths in snake case, and places in maps by number. */
function protoPath(path: Path): string {
  const steps: (string | number)[] = [];
  for (const step of path) {
    if (typeof step === "object") {
      if ("entry" in step) steps.push(step.index, "value");
      continue;
    }
    steps.push(typeof step === "string" ? step.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`) : step);
  }
  return pathText(steps);
}

/** Field names are taken in both spellings. */
export function camelCase(name: string): string {
  return name.replaceAll(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
}

export function refuseModel(model: string, method: string): never {
  refuse(
    `models/${model} is not found for API version v1beta, or is not supported for ${method}. Call ListModels to see the list of available models and their supported methods.`,
    404,
  );
}
