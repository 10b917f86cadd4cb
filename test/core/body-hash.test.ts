import { createHash } from "node:crypto";
import http, { createServer } from "node:http";
import http2 from "node:http2";
import type { AddressInfo } from "node:net";
import fc from "fast-check";
import { afterEach, describe, expect, test } from "vitest";
import { BodyHash, hashSentBody } from "../../src/core/body-hash.ts";
import type { NodeResponse } from "../../src/core/node-handler.ts";

const sha256 = (bytes: string | Uint8Array) => createHash("sha256").update(bytes).digest("hex");

test("however a body is cut, its hash is that of the whole", () => {
  fc.assert(
    fc.property(fc.array(fc.oneof(fc.string(), fc.uint8Array())), (pieces) => {
      const hash = new BodyHash();
      for (const piece of pieces) hash.update(piece);
      const whole = Buffer.concat(pieces.map((piece) => Buffer.from(piece)));
      expect(hash.hex).toBe(whole.length === 0 ? "" : sha256(whole));
    }),
  );
});

test("counts the last body alone, and nothing after the end", () => {
  const hash = new BodyHash();
  const ends: string[] = [];
  hash.whenSealed(() => ends.push(hash.hex));
  hash.update("first attempt");
  hash.reset();
  hash.update("second");
  hash.seal();
  hash.update("late");
  hash.reset();
  hash.seal();
  hash.whenSealed(() => ends.push("again"));
  expect(ends).toEqual([sha256("second"), "again"]);
});

describe("of an answer", () => {
  const closers: (() => void)[] = [];
  afterEach(() => {
    for (const close of closers.splice(0)) close();
  });

  /** What the server hashed of the one answer it gave. */
  async function serve(answer: (response: NodeResponse) => void, read: (url: string) => Promise<Buffer>, isHttp2 = false) {
    const hashed = Promise.withResolvers<BodyHash>();
    const handler = (_: unknown, response: NodeResponse) => {
      const hash = hashSentBody(response);
      hash.whenSealed(() => hashed.resolve(hash));
      answer(response);
    };
    const server = isHttp2 ? http2.createServer(handler) : createServer(handler);
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    closers.push(() => server.close());
    const body = await read(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
    return { hash: (await hashed.promise).hex, body };
  }

  const whole = (response: NodeResponse) => void (response as http.ServerResponse).end("all of it");
  const pieces = (response: NodeResponse) => {
    const one = response as http.ServerResponse;
    one.write("größer ");
    one.write(Buffer.from([0, 255]), () => one.end("end"));
  };

  test.each([
    ["HTTP/1.1, whole", whole, get, false],
    ["HTTP/1.1, in pieces", pieces, get, false],
    ["HTTP/2, whole", whole, getHttp2, true],
    ["HTTP/2, in pieces", pieces, getHttp2, true],
  ] as const)("%s: it is the hash of what the client reads", async (_, answer, read, isHttp2) => {
    const { hash, body } = await serve(answer, read, isHttp2);
    expect(body.length).toBeGreaterThan(0);
    expect(hash).toBe(sha256(body));
  });

  test("an answer without a body has none, and one that the client left ends with it", async () => {
    expect((await serve((response) => void (response as http.ServerResponse).end(), get)).hash).toBe("");
    const { hash } = await serve((response) => void (response as http.ServerResponse).write("begun"), leaveAtFirstByte);
    expect(hash).toBe(sha256("begun"));
  });
});

function get(url: string): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    http
      .get(url, { agent: false }, (response) => {
        response.on("data", (chunk: Buffer) => chunks.push(chunk));
        response.on("end", () => resolve(Buffer.concat(chunks)));
      })
      .on("error", reject);
  });
}

function leaveAtFirstByte(url: string): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    http
      .get(url, { agent: false }, (response) => {
        response.once("data", (chunk: Buffer) => {
          response.destroy();
          resolve(chunk);
        });
      })
      .on("error", reject);
  });
}

async function getHttp2(url: string): Promise<Buffer> {
  const session = http2.connect(url);
  try {
    const stream = session.request({ ":path": "/" });
    const chunks: Buffer[] = [];
    for await (const chunk of stream) chunks.push(chunk as Buffer);
    return Buffer.concat(chunks);
  } finally {
    session.close();
  }
}
