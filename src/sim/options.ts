/** What a simulated upstream can be told. Defaults live here, and nowhere else. */

export interface SimOptions {
  /** TCP port; 0 takes a free one. */
  readonly port: number;
  readonly host: string;
  /** TCP port for gRPC; 0 takes a free one. */
  readonly grpcPort: number;
  /** Time to the first token in milliseconds, where a script does not say. */
  readonly ttftMs: number;
  /** Tokens per second, where a script does not say; 0: as fast as it goes. */
  readonly tokensPerSecond: number;
  /** Takes unknown request fields and echoes them back instead of refusing them, for every model. */
  readonly lenient: boolean;
  /** Length of vectors where a request does not say. */
  readonly dimensions: number;
  /** Longest request body in bytes; beyond it the vendor's 413. */
  readonly maxBodyBytes: number;
  /** How many requests and rows of the bill are kept; the oldest go first. */
  readonly keep: number;
}

export const simDefaults: SimOptions = {
  port: 8090,
  host: "127.0.0.1",
  grpcPort: 8091,
  ttftMs: 0,
  tokensPerSecond: 0,
  lenient: false,
  dimensions: 256,
  maxBodyBytes: 32 << 20,
  keep: 10_000,
};

export interface SimFlag {
  /** The option it sets. */
  readonly option: keyof SimOptions;
  readonly kind: "number" | "string" | "boolean";
  readonly about: string;
}

/** The options as flags of a command line, by name. */
export const simOptions: Readonly<Record<string, SimFlag>> = {
  port: { option: "port", kind: "number", about: "port to listen on; 0 takes a free one" },
  host: { option: "host", kind: "string", about: "address to listen on" },
  "grpc-port": { option: "grpcPort", kind: "number", about: "port for gRPC; 0 takes a free one" },
  ttft: { option: "ttftMs", kind: "number", about: "milliseconds to the first token" },
  "tokens-per-second": { option: "tokensPerSecond", kind: "number", about: "pace of the tokens; 0: as fast as it goes" },
  lenient: { option: "lenient", kind: "boolean", about: "take unknown request fields and echo them back" },
  dimensions: { option: "dimensions", kind: "number", about: "length of embedding vectors where the request does not say" },
  "max-body-bytes": { option: "maxBodyBytes", kind: "number", about: "longest request body" },
  keep: { option: "keep", kind: "number", about: "how many requests and rows of the bill are kept" },
};
