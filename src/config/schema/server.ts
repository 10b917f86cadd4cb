/** What clients may do on the ports. */
import { z } from "zod";
import { addressRange, count, listenAddress, modelName, pathText, seconds, webOrigin, workerCount } from "../field.ts";

const tls = z.strictObject({
  /** PEM files: the certificate with its chain, and the private key. */
  cert_file: pathText,
  key_file: pathText,
  client_ca_file: pathText
    .optional()
    .describe("PEM file of the authorities whose client certificates are asked for; auth.mtls says who they are"),
});

const cors = z.strictObject({
  origins: z.array(webOrigin).default([]).describe("Exact origins of browser pages that may call the data port; never *"),
});

export const server = z.strictObject({
  listen: listenAddress.prefault("127.0.0.1:8080").describe("Data port: RPC and every HTTP surface. Beyond loopback it needs auth"),
  listen_admin: listenAddress.prefault("127.0.0.1:9091").describe("Admin port. Beyond loopback it needs TLS or auth"),
  listen_health: listenAddress
    .optional()
    .describe("A port that answers /healthz from a thread of its own: `stalled` while the process does not run. Absent: there is none"),
  tls: tls.optional().describe("Certificate for both ports; without it they speak plaintext HTTP/1.1 and h2c"),
  cors: cors.prefault({}).describe("Which browser pages may call"),
  trusted_proxies: z
    .array(addressRange)
    .default([])
    .describe("Addresses and ranges of proxies whose X-Forwarded-For says who calls; nobody else's does"),
  host_names: z
    .array(z.string().regex(/^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/, "is no host name; write it in lower case, without a port"))
    .default([])
    .describe(
      "Names besides localhost by which this machine is called where auth is off, as a proxy on it may do; web pages of other names are refused",
    ),
  workers: workerCount
    .prefault(1)
    .describe("Processes that serve, behind the same ports: a number, or auto for one per core. More than one share limits and records"),
  node: modelName.optional().describe("Name of this instance in headers; by default the target that answers is named"),
  max_body_bytes: count(1_024, 1_073_741_824).default(10_485_760).describe("Largest request body after decompression"),
  max_header_bytes: count(1_024, 1_048_576).default(16_384).describe("Largest sum of request header bytes"),
  max_headers: count(10, 10_000).default(100).describe("Most request header fields"),
  max_url_bytes: count(256, 65_536).default(8_192).describe("Longest request target"),
  headers_timeout_seconds: seconds(0.05, 600).default(10).describe("Until the request's headers are there"),
  body_timeout_seconds: seconds(0.05, 3_600).default(30).describe("Until the request's body is there"),
  idle_timeout_seconds: seconds(0.05, 86_400).default(120).describe("How long a connection without calls stays open"),
  write_stall_h1_seconds: seconds(0.05, 3_600).default(60).describe("How long an HTTP/1.1 client may read nothing before it is reset"),
  write_stall_h2_seconds: seconds(0.05, 3_600).default(30).describe("How long an HTTP/2 stream may take nothing before it is reset"),
  max_streams_per_connection: count(1, 100_000).default(1_000).describe("Most concurrent streams of one HTTP/2 connection"),
  h2_stream_window_bytes: count(16_384, 2_147_483_647).default(65_536).describe("HTTP/2 receive window of a stream"),
  h2_connection_window_bytes: count(65_535, 2_147_483_647).default(1_048_576).describe("HTTP/2 receive window of a connection"),
  max_h2_resets: count(1, 1_000_000)
    .default(100)
    .describe("Streams a client may reset within h2_reset_window_seconds before its connection ends"),
  h2_reset_window_seconds: seconds(0.05, 3_600).default(10).describe("Span over which resets are counted"),
  h2_ping_seconds: seconds(0.05, 3_600)
    .default(30)
    .describe("How often an HTTP/2 connection with running calls is asked whether it is there"),
  max_connection_age_seconds: seconds(1, 604_800).default(3_600).describe("After this a connection is asked to end, give or take 10 %"),
  max_control_message_bytes: count(1_024, 1_073_741_824).default(4_194_304).describe("Largest message of health and reflection"),
  max_answer_message_bytes: count(1_024, 2_147_483_647).default(67_108_864).describe("Largest message that an RPC answers"),
  max_connections: count(1, 1_000_000).default(10_000).describe("Most open client connections"),
  drain_seconds: seconds(0, 86_400).default(600).describe("How long running calls may finish after SIGTERM"),
  drain_notice_seconds: seconds(0, 600).default(5).describe("How long the port stays open after readiness went off"),
  max_timeout_seconds: seconds(0.05, 86_400).default(600).describe("Longest deadline of a call; also the one of calls that name none"),
  allow_vulnerable_runtime: z
    .boolean()
    .default(false)
    .describe("Listen beyond loopback on a Node version with known security holes (below 22.22.2 or 24.14.1)"),
});
