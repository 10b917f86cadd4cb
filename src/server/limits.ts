/** What one listener takes from its clients (reliability.md 2.8). Values come from the configuration. */
export interface ServerLimits {
  /** Bytes of all header names and values. More is answered 431. */
  readonly headerBytes: number;
  /** Header fields, every crumb of a split cookie counted. More is answered 431. */
  readonly headerFields: number;
  /** Bytes of path and query. More is answered 414. */
  readonly urlBytes: number;
  /** From a connection's or request's first byte to the end of its headers; also the TLS handshake, in milliseconds. */
  readonly headerTimeoutMs: number;
  /** From the end of the headers to the end of the body. */
  readonly bodyTimeoutMs: number;
  /** A connection without running exchanges is closed after this. */
  readonly idleTimeoutMs: number;
  /** HTTP/2 streams at once per connection. */
  readonly h2Streams: number;
  readonly h2StreamWindowBytes: number;
  readonly h2ConnectionWindowBytes: number;
  /** Streams that a client may reset within `h2ResetWindowMs`; then its connection ends with GOAWAY. */
  readonly h2Resets: number;
  readonly h2ResetWindowMs: number;
  /** Time in which a client must take something of what was written, before its HTTP/1.1 connection is cut. */
  readonly http1WriteStallMs: number;
  /** The same before an HTTP/2 stream is reset. */
  readonly http2WriteStallMs: number;
  /** An HTTP/2 connection with running streams is asked this often whether it is still there. */
  readonly pingIntervalMs: number;
  /** Connections at once; more are closed as they come. */
  readonly connections: number;
  /** Connections at once per client address; undefined means as many as `connections`. */
  readonly connectionsPerAddress?: number | undefined;
  /** A connection is asked to end after this, 10 % more or less, so that load spreads over new replicas. */
  readonly connectionAgeMs: number;
}
