import type { LookupAddress } from "node:dns";
import { describe, expect, onTestFinished, test } from "vitest";
import { createLookup, type Resolve, refuseAddress } from "../../src/providers/egress.ts";
import { HttpClient } from "../../src/providers/http-client.ts";
import { TransportFailure } from "../../src/providers/transport-failure.ts";
import { json, startServer } from "./local-server.ts";

function answering(...answers: (readonly string[] | Error)[]): Resolve {
  let asked = 0;
  return (_hostname, done) => {
    const answer = answers[Math.min(asked++, answers.length - 1)] ?? [];
    if (answer instanceof Error) done(answer, []);
    else
      done(
        null,
        answer.map((address) => ({ address, family: address.includes(":") ? 6 : 4 })),
      );
  };
}

function lookUp(lookup: ReturnType<typeof createLookup>): Promise<LookupAddress[]> {
  return new Promise((resolve, reject) => {
    lookup("host.example", { all: true }, (error, addresses) => (error === null ? resolve(addresses as LookupAddress[]) : reject(error)));
  });
}

async function get(origin: string, allowPrivate: boolean, resolve?: Resolve): Promise<unknown> {
  const client = new HttpClient({ origin: new URL(origin), allowPrivate, resolve, timeouts: { connectMs: 2_000 } });
  onTestFinished(() => client.close());
  const reply = await client.send({ method: "GET", path: "/", headers: {}, signal: new AbortController().signal, whole: true });
  await reply.body.return();
  return reply.status;
}

describe("refuseAddress", () => {
  test("lets private addresses pass only where they were configured", () => {
    expect(refuseAddress("10.0.0.1", true)).toBeUndefined();
    expect(refuseAddress("10.0.0.1", false)).toBe("10.0.0.1 is private");
  });

  test.each(["169.254.169.254", "fe80::1", "fd00:ec2::254", "100.100.100.200"])("never lets %s pass", (address) => {
    expect(refuseAddress(address, true)).toBeDefined();
  });
});

describe("createLookup", () => {
  test("gives only the addresses that are allowed", async () => {
    const lookup = createLookup({ allowPrivate: false, resolve: answering(["10.0.0.1", "8.8.8.8", "::1", "2606:4700::1"]) });
    expect((await lookUp(lookup)).map(({ address }) => address)).toEqual(["8.8.8.8", "2606:4700::1"]);
  });

  test("refuses a name that is rebound to the metadata service, even if it was configured", async () => {
    const lookup = createLookup({ allowPrivate: true, resolve: answering(["127.0.0.1"], ["169.254.169.254"]) });
    expect(await lookUp(lookup)).toHaveLength(1);
    await expect(lookUp(lookup)).rejects.toMatchObject({ kind: "egress_refused" });
  });

  test("uses the last good addresses for a minute while the resolver fails", async () => {
    let now = 0;
    const failing = Object.assign(new Error("no"), { code: "EAI_AGAIN" });
    const clock = { now: () => now, wall: () => now };
    const lookup = createLookup({ allowPrivate: false, resolve: answering(["8.8.8.8"], failing), clock });
    await lookUp(lookup);
    now = 59_000;
    expect(await lookUp(lookup)).toEqual([{ address: "8.8.8.8", family: 4 }]);
    now = 61_000;
    await expect(lookUp(lookup)).rejects.toThrow("no");
  });
});

const inside = ["127.0.0.1", "127.9.8.7", "0.0.0.0", "10.0.0.1", "100.100.100.200", "169.254.169.254", "172.16.0.9", "192.168.1.1"];

/** Ways to write one IPv4 address as the host of a URL; some that URLs do not take. */
function writingsOf(address: string): string[] {
  const bytes = address.split(".").map(Number);
  const [a = 0, b = 0, c = 0, d = 0] = bytes;
  const number = ((a << 24) | (b << 16) | (c << 8) | d) >>> 0;
  const hex = (value: number, length: number) => value.toString(16).padStart(length, "0");
  const groups = `${hex(number >>> 16, 1)}:${hex(number & 0xffff, 1)}`;
  const inverted = `${hex(~(number >>> 16) & 0xffff, 1)}:${hex(~number & 0xffff, 1)}`;
  const digits = (from: number) => address.replaceAll(/\d/g, (digit) => String.fromCodePoint(from + Number(digit)));
  return [
    address,
    ...[`${number}`, `0x${hex(number, 8)}`, `0${number.toString(8)}`, bytes.map((byte) => `0x${hex(byte, 2)}`).join(".")],
    ...[
      bytes.map((byte) => `0${byte.toString(8).padStart(3, "0")}`).join("."),
      `${a}.${(b << 16) | (c << 8) | d}`,
      `${a}.${b}.${(c << 8) | d}`,
    ],
    ...[`0x${hex(a, 1)}.${b}.0${c.toString(8)}.${d}`, digits(0xff10), address.replaceAll(".", "\u3002"), address.replaceAll(".", "\uff0e")],
    ...[address.replaceAll(".", "%2e"), address.replaceAll("1", "\u2460")],
    ...[`[::ffff:${address}]`, `[::ffff:${groups}]`, `[::${address}]`, `[::ffff:0:${groups}]`, `[2002:${groups}::1]`],
    ...[`[64:ff9b::${address}]`, `[64:ff9b::${groups}]`, `[64:ff9b:1::${groups}]`, `[2001:0:4136:e378:8000:63bf:${inverted}]`],
  ];
}

describe("the connector", () => {
  test("connects to a loopback address only where it is configured", async () => {
    const server = await startServer((_request, response) => json(response, {}));
    await expect(get(server.origin, false)).rejects.toMatchObject({ reason: "provider_error", details: { undispatched: true } });
    expect(server.sockets).toHaveLength(0);
    expect(await get(server.origin, true)).toBe(200);
  });

  test("opens no socket when a vendor's name resolves to loopback", async () => {
    const server = await startServer((_request, response) => json(response, {}));
    const error = await get(`http://api.vendor.example:${server.port}`, false, answering(["127.0.0.1"])).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ reason: "provider_error", message: expect.stringContaining("is not allowed") });
    expect((error as Error).cause).toBeInstanceOf(TransportFailure);
    expect(server.sockets).toHaveLength(0);
  });

  test("opens no socket when a name is rebound between two connections", async () => {
    const server = await startServer((_request, response) => {
      response.setHeader("connection", "close");
      json(response, {});
    });
    const client = new HttpClient({
      origin: new URL(`http://host.example:${server.port}`),
      allowPrivate: true,
      resolve: answering(["127.0.0.1"], ["169.254.169.254"]),
    });
    onTestFinished(() => client.close());
    const send = async () => {
      const reply = await client.send({ method: "GET", path: "/", headers: {}, signal: new AbortController().signal, whole: true });
      for await (const _ of reply.body);
      return reply.status;
    };
    expect(await send()).toBe(200);
    await expect(send()).rejects.toMatchObject({ reason: "provider_error", details: { cause: { kind: "egress_refused" } } });
    expect(server.sockets).toHaveLength(1);
  });

  test("X13: opens no socket for any writing of an address inside, as a literal or as what a name becomes", async () => {
    const server = await startServer((_request, response) => json(response, {}));
    const literals = inside.flatMap(writingsOf);
    const written = new Set([...literals, ...literals.map((host) => `${host}.`), ...literals.map((host) => `user:word@${host}`)]);
    const origins = [...written].map((host) => `http://${host}:${server.port}`).filter((url) => URL.canParse(url));
    expect(origins.length).toBeGreaterThan(200);
    for (const origin of origins) {
      // Whatever is no address after all is a name, and becomes one.
      const asking = get(origin, false, answering(["127.0.0.1"]));
      await expect(asking, origin).rejects.toMatchObject({ details: { cause: { kind: "egress_refused" } } });
    }
    const addresses = literals.filter((host) => host.startsWith("[")).map((host) => host.slice(1, -1));
    for (const address of [...inside, ...addresses]) {
      const asking = get(`http://rebound.example:${server.port}`, false, answering([address]));
      await expect(asking, address).rejects.toMatchObject({ details: { cause: { kind: "egress_refused" } } });
    }
    expect(server.sockets).toHaveLength(0);
  });

  test("says that a name cannot be found", async () => {
    const missing = Object.assign(new Error("getaddrinfo"), { code: "ENOTFOUND" });
    await expect(get("http://nowhere.example", false, answering(missing))).rejects.toMatchObject({
      reason: "provider_error",
      message: "cannot find the address of http://nowhere.example",
    });
  });
});
