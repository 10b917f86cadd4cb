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

  test("says that a name cannot be found", async () => {
    const missing = Object.assign(new Error("getaddrinfo"), { code: "ENOTFOUND" });
    await expect(get("http://nowhere.example", false, answering(missing))).rejects.toMatchObject({
      reason: "provider_error",
      message: "cannot find the address of http://nowhere.example",
    });
  });
});
