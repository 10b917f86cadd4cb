/** One upstream vendor. */
import { z } from "zod";
import { baseUrl, count, headerName, headerValue, pathText, seconds, secretText } from "../field.ts";

const tls = z
  .strictObject({
    ca_file: pathText.optional().describe("PEM file of the authorities that vouch for it, instead of the system's"),
    cert_file: pathText.optional().describe("PEM file of the certificate, with its chain, that it is shown where it asks for one"),
    key_file: pathText.optional().describe("PEM file of that certificate's private key"),
  })
  .refine(
    ({ cert_file: cert, key_file: key }) => (cert === undefined) === (key === undefined),
    "has only one of cert_file and key_file; set both",
  );

export const provider = z.strictObject({
  type: z.string().min(1).optional().describe("What kind of vendor it is; by default its name"),
  enabled: z.boolean().default(true).describe("Whether it is used at all"),
  api_key: secretText
    .optional()
    .describe("The credential: a reference to a variable or file:/path; by default from the vendor's usual variable"),
  access_key_id: secretText.optional().describe("For AWS: id of the access key that signs requests; by default AWS_ACCESS_KEY_ID"),
  secret_access_key: secretText.optional().describe("For AWS: the access key itself; by default AWS_SECRET_ACCESS_KEY"),
  session_token: secretText.optional().describe("For AWS: token of a temporary access key; by default AWS_SESSION_TOKEN"),
  region: z
    .string()
    .regex(/^[a-z0-9-]{1,63}$/, "is no region; write it as in eu-central-1")
    .optional()
    .describe("For AWS: where the models run; by default AWS_REGION or AWS_DEFAULT_REGION"),
  base_url: baseUrl.optional().describe("Where its API is, with the version's path, as in http://10.0.0.5:8000/v1"),
  tls: tls.optional().describe("Certificates of connections to it, over HTTP and gRPC alike"),
  headers: z.record(headerName, headerValue).default({}).describe("Further headers of every request; their values are treated as secrets"),
  api_version: z.string().min(1).optional().describe("Version that the vendor wants named"),
  models: z.array(z.string().min(1)).optional().describe("Model ids it serves; by default it is asked"),
  connect_timeout_seconds: seconds(0.01, 600).default(3).describe("Until a connection stands"),
  first_byte_timeout_seconds: seconds(0.01, 3_600).default(120).describe("Until the first byte of the answer"),
  idle_timeout_seconds: seconds(0.01, 3_600).default(60).describe("Longest silence within an answer"),
  total_timeout_seconds: seconds(0.01, 86_400).default(600).describe("Longest answer"),
  pool_size: count(1, 65_535).default(256).describe("Most connections to it"),
  ratelimit_max_rpm: count(0, 1_000_000_000)
    .default(0)
    .describe("Most requests that it is sent within any minute; beyond it the next target is tried. 0 means no limit"),
  ratelimit_max_tpm: count(0, 1_000_000_000_000)
    .default(0)
    .describe("Most input and output tokens that it is sent for within any minute; 0 means no limit"),
  on_disconnect: z
    .enum(["estimate", "drain", "no_bill"])
    .default("estimate")
    .describe(
      "When a client leaves its stream. estimate: close it and bill what came; drain: read on for the exact counts; no_bill: close it and bill nothing, for providers that do so",
    ),
});
