/** A collector of its own: takes OTLP over HTTP in protobuf, and reads of it what tests look at (opentelemetry/proto/trace/v1). */
import http from "node:http";
import type { AddressInfo } from "node:net";
import { BinaryReader, WireType } from "@bufbuild/protobuf/wire";

export type AttributeValue = string | boolean | number | readonly AttributeValue[] | undefined;

export interface ReceivedSpan {
  readonly traceId: string;
  readonly spanId: string;
  /** Empty for a root. */
  readonly parentId: string;
  readonly traceState: string;
  readonly name: string;
  /** 2 is SERVER, 3 is CLIENT. */
  readonly kind: number;
  /** 2 is ERROR. */
  readonly status: number;
  readonly nanoseconds: bigint;
  readonly attributes: Readonly<Record<string, AttributeValue>>;
  /** Of the process that made it. */
  readonly resource: Readonly<Record<string, AttributeValue>>;
}

export interface OtlpReceiver {
  readonly url: string;
  /** In the order in which they came. */
  readonly spans: readonly ReceivedSpan[];
  /** Every byte that came, as text. */
  readonly text: string;
  readonly requests: readonly { readonly path: string; readonly headers: http.IncomingHttpHeaders }[];
  close(): Promise<void>;
}

export async function startOtlpReceiver(): Promise<OtlpReceiver> {
  const spans: ReceivedSpan[] = [];
  const requests: { path: string; headers: http.IncomingHttpHeaders }[] = [];
  let text = "";
  const server = http.createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const body = Buffer.concat(chunks);
      requests.push({ path: request.url ?? "", headers: request.headers });
      text += body.toString("latin1");
      spans.push(...readSpans(body));
      response.writeHead(200, { "content-type": "application/x-protobuf" }).end();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    spans,
    requests,
    get text() {
      return text;
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

type Fields = Map<number, unknown[]>;

/** Fields by number: numbers, byte arrays and, for what is read as such, nothing more. */
function readFields(bytes: Uint8Array): Fields {
  const reader = new BinaryReader(bytes);
  const fields: Fields = new Map();
  while (reader.pos < reader.len) {
    const [number, type] = reader.tag();
    const values = fields.get(number) ?? [];
    fields.set(number, values);
    if (type === WireType.Varint) values.push(reader.int64());
    else if (type === WireType.Bit64) values.push(reader.fixed64());
    else if (type === WireType.Bit32) values.push(reader.fixed32());
    else if (type === WireType.LengthDelimited) values.push(reader.bytes());
    else throw new Error(`wire type ${type}`);
  }
  return fields;
}

const messages = (fields: Fields, number: number) => (fields.get(number) ?? []).map((value) => readFields(value as Uint8Array));
const bytesOf = (fields: Fields, number: number) => Buffer.from((fields.get(number)?.[0] as Uint8Array | undefined) ?? []);
const textOf = (fields: Fields, number: number) => bytesOf(fields, number).toString();
const hexOf = (fields: Fields, number: number) => bytesOf(fields, number).toString("hex");
const numberOf = (fields: Fields, number: number) => Number(fields.get(number)?.[0] ?? 0);

function readSpans(body: Uint8Array): ReceivedSpan[] {
  return messages(readFields(body), 1).flatMap((resourceSpans) => {
    const resource = readAttributes(messages(resourceSpans, 1).flatMap((fields) => messages(fields, 1)));
    return messages(resourceSpans, 2).flatMap((scopeSpans) =>
      messages(scopeSpans, 2).map((span) => ({
        traceId: hexOf(span, 1),
        spanId: hexOf(span, 2),
        traceState: textOf(span, 3),
        parentId: hexOf(span, 4),
        name: textOf(span, 5),
        kind: numberOf(span, 6),
        nanoseconds: BigInt((span.get(8)?.[0] ?? 0) as bigint) - BigInt((span.get(7)?.[0] ?? 0) as bigint),
        attributes: readAttributes(messages(span, 9)),
        status: numberOf(messages(span, 15)[0] ?? new Map(), 3),
        resource,
      })),
    );
  });
}

function readAttributes(pairs: readonly Fields[]): Record<string, AttributeValue> {
  return Object.fromEntries(pairs.map((pair) => [textOf(pair, 1), readValue(messages(pair, 2)[0] ?? new Map())]));
}

function readValue(value: Fields): AttributeValue {
  if (value.has(1)) return textOf(value, 1);
  if (value.has(2)) return numberOf(value, 2) === 1;
  if (value.has(3)) return numberOf(value, 3);
  if (value.has(4)) return Buffer.from(new BigInt64Array([BigInt(value.get(4)?.[0] as bigint)]).buffer).readDoubleLE();
  if (value.has(5)) return messages(messages(value, 5)[0] ?? new Map(), 1).map(readValue);
  return undefined;
}
