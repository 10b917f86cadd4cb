/** What clients may do on the ports, in the units of those who hold it. */

import type { Config, ServerConfig } from "../config/schema.ts";
import { connectionsWithin, descriptorLimit } from "../overload/descriptor-limit.ts";
import type { RpcLimits } from "../rpc/rpc-limits.ts";
import type { ServerLimits } from "../server/limits.ts";

export function serverLimits(server: ServerConfig): ServerLimits {
  return {
    headerBytes: server.max_header_bytes,
    headerFields: server.max_headers,
    urlBytes: server.max_url_bytes,
    headerTimeoutMs: server.headers_timeout_seconds * 1_000,
    bodyTimeoutMs: server.body_timeout_seconds * 1_000,
    idleTimeoutMs: server.idle_timeout_seconds * 1_000,
    http1WriteStallMs: server.write_stall_h1_seconds * 1_000,
    http2WriteStallMs: server.write_stall_h2_seconds * 1_000,
    h2Streams: server.max_streams_per_connection,
    connections: Math.min(server.max_connections, connectionsWithin(descriptorLimit()) ?? server.max_connections),
    h2StreamWindowBytes: server.h2_stream_window_bytes,
    h2ConnectionWindowBytes: server.h2_connection_window_bytes,
    h2Resets: server.max_h2_resets,
    h2ResetWindowMs: server.h2_reset_window_seconds * 1_000,
    pingIntervalMs: server.h2_ping_seconds * 1_000,
    connectionAgeMs: server.max_connection_age_seconds * 1_000,
  };
}

export function rpcLimits({ server, json }: Config): RpcLimits {
  return {
    inferenceMessageBytes: server.max_body_bytes,
    controlMessageBytes: server.max_control_message_bytes,
    answerMessageBytes: server.max_answer_message_bytes,
    maxTimeoutMs: server.max_timeout_seconds * 1_000,
    json: { maxDepth: json.max_depth, maxNodes: json.max_nodes },
  };
}
