/** The loads of a bench, in the order in which they run. */
import { join } from "node:path";
import { streamModel } from "./answers.ts";
import {
  chatLoad,
  embeddingsLoad,
  type HttpLoad,
  type LoadResult,
  messagesLoad,
  messagesStreamLoad,
  type Pressure,
  runHttpLoad,
  runLoadProcess,
  streamLoad,
} from "./load-http.ts";
import { type Server, type ServerName, variants } from "./servers.ts";
import type { Tools } from "./upstream.ts";

export const groups = ["chat", "rate", "sse", "cross", "embeddings", "grpc", "memory"] as const;
export type Group = (typeof groups)[number];

/** What a load needs of the bench that runs it. */
export interface LoadGround {
  readonly tools: Tools;
  readonly directory: string;
  readonly answers: string;
  readonly loadCore: number | undefined;
}

export interface Load {
  readonly name: string;
  readonly group: Group;
  /** For people. */
  readonly title: string;
  /** What CPU time is divided by. */
  readonly unit: "request" | "chunk";
  /** Which figures of it mean something: CPU of those that push, latency of those that do not push too hard. */
  readonly shows: readonly ("cpu" | "latency" | "chunks")[];
  /** How long it is measured, in seconds. */
  readonly seconds: number;
  /** How long the server is warmed with it before the first round. */
  readonly warmSeconds: number;
  readonly grpc: boolean;
  /** Which servers take it. */
  readonly servers: readonly ServerName[];
  /** The load that is relayed over HTTP, for loads that come in otherwise. */
  readonly comparedWith?: string;
  run(ground: LoadGround, server: Server, seconds: number): Promise<LoadResult>;
}

/** Streams at once, and records a second of each: 10,000 a second together. */
const paced = { streams: 50, pace: 200 };
const burst = { streams: 16, records: 256 };

const everybody: readonly ServerName[] = ["nginx", "portkey", "dragoman"];
const dragoman: readonly ServerName[] = ["dragoman", "dragoman-all-on"];

type Facts = Omit<Load, "run" | "grpc">;

function httpLoad(facts: Facts, load: (seconds: number) => HttpLoad, pressure: (seconds: number) => Pressure): Load {
  return {
    ...facts,
    grpc: false,
    run: ({ tools, ...ground }, server, seconds) => runHttpLoad(tools, ground, server, load(seconds), pressure(seconds)),
  };
}

function grpcLoad(facts: Facts, settings: (seconds: number, server: Server) => Record<string, string | number>): Load {
  return {
    ...facts,
    grpc: true,
    run: ({ loadCore }, server, seconds) => {
      const args = Object.entries({ port: server.port, ...server.headers, ...settings(seconds, server) }).map(
        ([key, value]) => `${key}=${value}`,
      );
      return runLoadProcess(process.execPath, [join(import.meta.dirname, "load-grpc.ts"), ...args], loadCore, seconds);
    },
  };
}

/** Every stream runs once, as long as the measurement. */
const pacedPressure = (seconds: number) => ({ connections: paced.streams, total: paced.streams, seconds: seconds + 5 });
const pacedRecords = (seconds: number) => Math.round(seconds * paced.pace);

function rateLoad(rate: number): Load {
  return httpLoad(
    {
      name: `rate-${rate}`,
      group: "rate",
      title: `chat, ${rate} requests/s`,
      unit: "request",
      shows: ["latency"],
      seconds: 2,
      warmSeconds: 0,
      servers: rate === 1000 ? [...everybody, "dragoman-all-on"] : everybody,
    },
    () => chatLoad,
    (seconds) => ({ connections: 64, seconds, rate }),
  );
}

function vectorsLoad(encoding: "float" | "base64", size: string): Load {
  return httpLoad(
    {
      name: `embeddings-${encoding}`,
      group: "embeddings",
      title: `embeddings, ${size} ${encoding}`,
      unit: "request",
      shows: ["cpu"],
      seconds: 1.5,
      warmSeconds: 1.5,
      servers: encoding === "float" ? [...everybody, "dragoman-all-on"] : everybody,
    },
    () => embeddingsLoad(encoding),
    (seconds) => ({ connections: 8, seconds }),
  );
}

export const loads: readonly Load[] = [
  httpLoad(
    {
      name: "chat",
      group: "chat",
      title: "chat, buffered, saturated",
      unit: "request",
      shows: ["cpu"],
      seconds: 2,
      warmSeconds: 5,
      servers: [...everybody, ...variants],
    },
    () => chatLoad,
    (seconds) => ({ connections: 32, seconds }),
  ),
  ...[200, 500, 1000].map(rateLoad),
  httpLoad(
    {
      name: "sse-paced",
      group: "sse",
      title: "SSE, 10,000 chunks/s on 50 streams",
      unit: "chunk",
      shows: ["cpu", "chunks"],
      seconds: 3,
      warmSeconds: 2,
      servers: [...everybody, "dragoman-all-on", "dragoman-written"],
    },
    (seconds) => streamLoad(pacedRecords(seconds), paced.pace),
    pacedPressure,
  ),
  httpLoad(
    {
      name: "sse-burst",
      group: "sse",
      title: "SSE, burst",
      unit: "chunk",
      shows: ["cpu"],
      seconds: 1.5,
      warmSeconds: 2,
      servers: [...everybody, ...variants],
    },
    () => streamLoad(burst.records, 0),
    (seconds) => ({ connections: burst.streams, seconds }),
  ),
  httpLoad(
    {
      name: "chat-cross",
      group: "cross",
      title: "chat, cross format (Anthropic in, OpenAI out)",
      unit: "request",
      shows: ["cpu"],
      seconds: 2,
      warmSeconds: 2,
      servers: ["dragoman"],
      comparedWith: "chat",
    },
    () => messagesLoad,
    (seconds) => ({ connections: 32, seconds }),
  ),
  httpLoad(
    {
      name: "sse-cross",
      group: "cross",
      title: "SSE, burst, cross format (Anthropic in, OpenAI out)",
      unit: "chunk",
      shows: ["cpu"],
      seconds: 1.5,
      warmSeconds: 2,
      servers: ["dragoman"],
      comparedWith: "sse-burst",
    },
    () => messagesStreamLoad(burst.records, 0),
    (seconds) => ({ connections: burst.streams, seconds }),
  ),
  vectorsLoad("float", "332 KB"),
  vectorsLoad("base64", "132 KB"),
  grpcLoad(
    {
      name: "grpc-complete",
      group: "grpc",
      title: "gRPC Complete, saturated",
      unit: "request",
      shows: ["cpu"],
      seconds: 2,
      warmSeconds: 4,
      servers: dragoman,
      comparedWith: "chat",
    },
    (seconds, server) => ({ kind: "complete", model: server.model("bench"), connections: 32, seconds }),
  ),
  grpcLoad(
    {
      name: "grpc-paced",
      group: "grpc",
      title: "gRPC Generate, 10,000 tokens/s on 50 streams",
      unit: "chunk",
      shows: ["cpu", "chunks"],
      seconds: 3,
      warmSeconds: 2,
      servers: dragoman,
      comparedWith: "sse-paced",
    },
    (seconds, server) => ({
      ...pacedPressure(seconds),
      kind: "generate",
      model: server.model(streamModel(pacedRecords(seconds), paced.pace)),
      markers: pacedRecords(seconds),
    }),
  ),
  grpcLoad(
    {
      name: "grpc-burst",
      group: "grpc",
      title: "gRPC Generate, burst",
      unit: "chunk",
      shows: ["cpu"],
      seconds: 1.5,
      warmSeconds: 2,
      servers: dragoman,
      comparedWith: "sse-burst",
    },
    (seconds, server) => ({
      kind: "generate",
      model: server.model(streamModel(burst.records, 0)),
      connections: burst.streams,
      seconds,
      markers: burst.records,
    }),
  ),
];

/** Streams that are held open, a record a second each, to see what one costs in memory. */
export const openStreams = { count: 500, seconds: 6 };

export const openStreamsLoad: Load = httpLoad(
  {
    name: "memory",
    group: "memory",
    title: `${openStreams.count} open streams`,
    unit: "chunk",
    shows: [],
    seconds: openStreams.seconds,
    warmSeconds: 0,
    servers: [...everybody, ...variants],
  },
  (seconds) => streamLoad(seconds, 1),
  (seconds) => ({ connections: openStreams.count, total: openStreams.count, seconds: seconds + 5 }),
);
