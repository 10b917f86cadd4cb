/** Limits towards upstreams: reliability.md 2.8. Times in milliseconds, sizes in bytes. */

export interface HttpTimeouts {
  /** Name look-up and TCP handshake. */
  readonly connectMs: number;
  /** TLS handshake. */
  readonly tlsMs: number;
  /** From the request to the first byte of a streamed answer's body. A whole answer may take the total. */
  readonly firstByteMs: number;
  /** Silence inside a body, while the reader is not the one who is slow. */
  readonly idleMs: number;
  /** The whole exchange. */
  readonly totalMs: number;
}

export const httpTimeouts: HttpTimeouts = {
  connectMs: 3_000,
  tlsMs: 5_000,
  firstByteMs: 120_000,
  idleMs: 60_000,
  totalMs: 600_000,
};

export const httpLimits = {
  /** Sockets of one provider. */
  poolSize: 256,
  /** A whole answer. */
  maxReplyBytes: 64 << 20,
  /** What is kept of the body of an error. */
  maxErrorBytes: 64 << 10,
  /** How long an error's body is waited for. */
  errorBodyMs: 5_000,
  /** Received and not yet read: above the first the socket is paused, below the second it goes on. */
  highWaterBytes: 64 << 10,
  lowWaterBytes: 16 << 10,
  maxHeaderBytes: 64 << 10,
  maxInformationalReplies: 16,
  /** What may follow the end mark of a stream before the socket is given up. */
  maxTrailingBytes: 64 << 10,
  trailingMs: 250,
  /** Decompressed to compressed, above a size that is allowed in any case. */
  maxCompressionRatio: 100,
  uncheckedDecompressedBytes: 1 << 20,
  /** A list of models, and the time for it. */
  maxModelListBytes: 10 << 20,
  modelListMs: 10_000,
  maxModelListPages: 20,
} as const;
