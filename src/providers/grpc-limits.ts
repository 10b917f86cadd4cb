/** Limits towards gRPC upstreams, beside those of reliability.md 2.8 that hold for HTTP too. Times in milliseconds. */
export const grpcLimits = {
  /** One message of an answer. */
  maxMessageBytes: 64 << 20,
  /** How often a connection with running calls is asked whether it is there, and how long it may take to say so. */
  keepaliveMs: 30_000,
  keepaliveTimeoutMs: 10_000,
  /** Waits between tries to connect to an upstream that is away. */
  firstReconnectMs: 100,
  longestReconnectMs: 1_000,
  /** Least time between two look-ups of an upstream's name. */
  resolutionMs: 1_000,
  /** A connection without calls is closed after this; the next call makes a new one. */
  idleConnectionMs: 300_000,
  /** Received and not yet read: above it the upstream is not asked for more. */
  highWaterBytes: 256 << 10,
} as const;
