/**
 * Checks requests that are signed with the simulator's own access key, as AWS does.
 * https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
 */
import { createHash, createHmac, timingSafeEqual } from "node:crypto";
import type { IncomingHttpHeaders } from "node:http";
import type { Problem } from "../problem.ts";

/** The one access key that the simulator knows. */
export const simAccessKey = { accessKeyId: "AKIASIMULATED0000001", secretAccessKey: "sim/secret/access/key/that/opens/nothing0" } as const;

/** How far a signature's date may be off, in milliseconds. */
const maxSkewMs = 5 * 60_000;

export interface ReceivedRequest {
  readonly method: string;
  /** Path and query as they came. */
  readonly target: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

interface Claim {
  readonly accessKeyId: string;
  readonly date: string;
  readonly region: string;
  readonly service: string;
  readonly signedHeaders: readonly string[];
  readonly signature: string;
}

const shape =
  /^AWS4-HMAC-SHA256 Credential=([^/,]+)\/(\d{8})\/([a-z0-9-]+)\/([a-z0-9-]+)\/aws4_request, ?SignedHeaders=([a-z0-9;-]+), ?Signature=([0-9a-f]{64})$/;

/** The access key's id; empty where the header is no signature. */
export function signer(authorization: string): string {
  return readClaim(authorization)?.accessKeyId ?? "";
}

/** What is wrong with a signed request; undefined where it is right. */
export function signatureProblem(request: ReceivedRequest): Problem | undefined {
  const claim = readClaim(request.headers.authorization ?? "");
  if (claim === undefined) return refuse("IncompleteSignatureException", "Authorization header requires existence of its parts.");
  if (claim.accessKeyId !== simAccessKey.accessKeyId)
    return refuse("UnrecognizedClientException", "The security token included in the request is invalid.");
  const stamp = String(request.headers["x-amz-date"] ?? "");
  const at = Date.parse(stamp.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/, "$1-$2-$3T$4:$5:$6Z"));
  if (!(Math.abs(Date.now() - at) <= maxSkewMs))
    return refuse("InvalidSignatureException", `Signature expired: ${stamp} is not within 5 minutes of now`);
  const mustSign = ["host", ...Object.keys(request.headers).filter((name) => name.startsWith("x-amz-"))];
  const unsigned = mustSign.find((name) => !claim.signedHeaders.includes(name));
  if (unsigned !== undefined || claim.service !== "bedrock" || !stamp.startsWith(claim.date)) {
    return refuse(
      "InvalidSignatureException",
      "Credential should be scoped to a valid region, date and service, and sign host and x-amz-*.",
    );
  }
  const right = Buffer.from(signatureOf(request, claim, stamp));
  if (timingSafeEqual(right, Buffer.from(claim.signature))) return undefined;
  return refuse(
    "InvalidSignatureException",
    "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details.",
  );
}

function refuse(type: string, message: string): Problem {
  return { status: 403, type, message };
}

function readClaim(authorization: string): Claim | undefined {
  const [match, accessKeyId = "", date = "", region = "", service = "", headers = "", signature = ""] = shape.exec(authorization) ?? [];
  return match === undefined ? undefined : { accessKeyId, date, region, service, signedHeaders: headers.split(";"), signature };
}

function signatureOf(request: ReceivedRequest, { date, region, service, signedHeaders }: Claim, stamp: string): string {
  const scope = `${date}/${region}/${service}/aws4_request`;
  const toSign = ["AWS4-HMAC-SHA256", stamp, scope, sha256(canonicalOf(request, signedHeaders))].join("\n");
  const key = [date, region, service, "aws4_request"].reduce<string | Buffer>(
    (secret, part) => createHmac("sha256", secret).update(part).digest(),
    `AWS4${simAccessKey.secretAccessKey}`,
  );
  return createHmac("sha256", key).update(toSign).digest("hex");
}

function canonicalOf({ method, target, headers, body }: ReceivedRequest, signedHeaders: readonly string[]): string {
  const [path = "", query = ""] = target.split("?", 2);
  const segments = path.split("/").map((segment) => encode(segment));
  const pairs = query
    .split("&")
    .filter((pair) => pair !== "")
    .map((pair) => pair.split("=", 2).map((half) => encode(decodeURIComponent(half))))
    .map(([name = "", value = ""]) => `${name}=${value}`)
    .sort();
  const lines = signedHeaders.map(
    (name) =>
      `${name}:${String(headers[name] ?? "")
        .trim()
        .replace(/\s+/g, " ")}\n`,
  );
  return [method, segments.join("/"), pairs.join("&"), lines.join(""), signedHeaders.join(";"), sha256(body)].join("\n");
}

/** RFC 3986; paths were encoded once already, and are encoded again. */
function encode(text: string): string {
  return encodeURIComponent(text).replace(/[!'()*]/g, (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`);
}

function sha256(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}
