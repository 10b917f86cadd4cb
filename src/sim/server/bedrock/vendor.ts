/** What every Bedrock path shares: credential, error envelope, and its words for wrong fields. */
import { boundOf, type Issue, type JsonObject, type Path } from "../../shape.ts";
import { type Problem, Refusal } from "../problem.ts";
import type { Vendor } from "../wire.ts";
import { eventStream } from "./event-stream.ts";
import { signatureProblem, signer } from "./signature-v4.ts";

const types: Readonly<Record<number, string>> = {
  400: "ValidationException",
  403: "AccessDeniedException",
  404: "ResourceNotFoundException",
  408: "ModelTimeoutException",
  424: "ModelErrorException",
  429: "ThrottlingException",
  500: "InternalServerException",
  503: "ServiceUnavailableException",
};
const messages: Readonly<Record<number, string>> = {
  408: "The model took too long to answer.",
  424: "The model returned an error.",
  429: "Too many requests, please wait before trying again.",
  500: "The system encountered an unexpected error during processing. Try your request again.",
  503: "Bedrock is unable to process your request.",
};

export const bedrockVendor: Vendor = {
  name: "bedrock",
  streamType: eventStream.type,
  credential(headers) {
    const authorization = headers.authorization ?? "";
    const bearer = /^Bearer\s+(\S+)$/i.exec(authorization)?.[1];
    if (bearer?.includes("bad") === true) {
      return { key: bearer, problem: { status: 403, message: "Authentication failed: Please make sure your API Key is valid." } };
    }
    const key = bearer ?? signer(authorization);
    if (key !== "") return { key };
    return { key, problem: { status: 403, type: "MissingAuthenticationTokenException", message: "Missing Authentication Token" } };
  },
  /** Signatures are over the whole request. */
  verify: (request) => (/^AWS4-/.test(request.headers.authorization ?? "") ? signatureProblem(request) : undefined),
  error({ status, message }: Problem): JsonObject {
    return { message: message ?? messages[status] ?? `The request failed with status ${status}.` };
  },
  errorHeaders: (problem) => ({ "x-amzn-errortype": `${problemType(problem)}:http://internal.amazon.com/coral/com.amazon.bedrock/` }),
  headers: (requestId) => ({ "x-amzn-requestid": requestId }),
};

/** The exception's name. */
export function problemType({ status, type }: Problem): string {
  return type ?? types[status] ?? (status < 500 ? "ValidationException" : "InternalServerException");
}

export function refuse(message: string, status = 400): never {
  throw new Refusal({ status, message });
}

/** Unknown fields one by one, all others in one list, as the service's validation reports them. */
export function refuseIssues(issues: readonly Issue[]): void {
  const [first] = issues;
  if (first === undefined) return;
  if (first.kind === "unknown") {
    const parent = first.path.slice(0, -1);
    const place = parent.length === 0 ? "#" : `#/${parent.map(stepText).join("/")}`;
    refuse(
      `Malformed input request: ${place}: extraneous key [${stepText(first.path.at(-1) ?? "")}] is not permitted, please reformat your input and try again.`,
    );
  }
  const words = issues.filter(({ kind }) => kind !== "unknown").map(wordsOf);
  refuse(`${words.length} validation error${words.length === 1 ? "" : "s"} detected: ${words.join("; ")}`);
}

/** `messages.1.member.content`: elements of lists count from 1. */
function placeOf(path: Path): string {
  return path.map((step) => (typeof step === "number" ? `${step + 1}.member` : stepText(step))).join(".");
}

function stepText(step: Path[number]): string {
  if (typeof step !== "object") return String(step);
  return "variant" in step ? step.variant : step.entry;
}

function wordsOf({ kind, path, found, shape }: Issue): string {
  const value = kind === "missing" ? "null" : typeof found === "object" ? "" : `'${String(found)}'`;
  return `Value ${value}${value === "" ? "" : " "}at '${placeOf(path)}' failed to satisfy constraint: ${constraintOf(kind, shape)}`;
}

function constraintOf(kind: Issue["kind"], shape: Issue["shape"]): string {
  switch (kind) {
    case "missing":
      return "Member must not be null";
    case "word":
      return `Member must satisfy enum value set: [${shape.is === "string" ? (shape.words ?? []).join(", ") : ""}]`;
    case "low":
      return `Member must have value greater than or equal to ${boundOf(shape, "min")}`;
    case "high":
      return `Member must have value less than or equal to ${boundOf(shape, "max")}`;
    case "short":
      return `Member must have length greater than or equal to ${boundOf(shape, "min")}`;
    case "long":
      return `Member must have length less than or equal to ${boundOf(shape, "max")}`;
    case "pattern":
      return `Member must satisfy regular expression pattern: ${shape.is === "string" ? shape.pattern?.source : ""}`;
    default:
      return "Member has the wrong type";
  }
}
