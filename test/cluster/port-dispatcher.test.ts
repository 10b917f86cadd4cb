import net from "node:net";
import { afterEach, expect, test, vi } from "vitest";
import { type HandOver, PortDispatcher, type Recipient } from "../../src/cluster/port-dispatcher.ts";
import { silentLog } from "../../src/core/log.ts";

const dispatchers: PortDispatcher[] = [];
const clients: net.Socket[] = [];

afterEach(() => {
  for (const client of clients.splice(0)) client.destroy();
  for (const dispatcher of dispatchers.splice(0)) dispatcher.close();
});

async function open(maxParked = 10, parkMs = 10_000) {
  const dispatcher = new PortDispatcher({ maxParked, parkMs, log: silentLog });
  dispatchers.push(dispatcher);
  const { port } = await dispatcher.listen("127.0.0.1", 0);
  return { dispatcher, connect: () => connect(port) };
}

/** A client, and whether its connection has ended. */
function connect(port: number): { readonly ended: () => boolean } {
  let ended = false;
  const client = net.connect(port, "127.0.0.1");
  clients.push(client);
  client.on("error", () => {});
  client.on("close", () => (ended = true));
  client.resume();
  return { ended: () => ended };
}

interface Given {
  readonly socket: net.Socket;
  readonly hear: HandOver;
}

function recipient(): Recipient & { readonly given: Given[] } {
  const given: Given[] = [];
  return { given, give: (socket, hear) => void given.push({ socket, hear }) };
}

test("connections take turns", async () => {
  const { dispatcher, connect } = await open();
  const [one, two] = [recipient(), recipient()];
  dispatcher.join(one);
  dispatcher.join(two);
  for (let count = 0; count < 6; count++) connect();
  await vi.waitFor(() => expect([one.given.length, two.given.length]).toEqual([3, 3]));
  dispatcher.leave(one);
  for (let count = 0; count < 2; count++) connect();
  await vi.waitFor(() => expect([one.given.length, two.given.length]).toEqual([3, 5]));
});

test("who left a process that died before it was sent goes to another; what was on its way is ended", async () => {
  const { dispatcher, connect } = await open();
  const [one, two] = [recipient(), recipient()];
  dispatcher.join(one);
  const [unsent, sent] = [connect(), connect()];
  await vi.waitFor(() => expect(one.given).toHaveLength(2));
  one.given[1]?.hear.sent(null);
  dispatcher.join(two);
  dispatcher.lost(one);
  expect(two.given.map(({ socket }) => socket)).toEqual([one.given[0]?.socket]);
  await vi.waitFor(() => expect(one.given[1]?.socket.destroyed).toBe(true));
  await vi.waitFor(() => expect([unsent.ended(), sent.ended()].filter(Boolean)).toHaveLength(1));
});

test("this side lets go of a connection when the process has it", async () => {
  const { dispatcher, connect } = await open();
  const one = recipient();
  dispatcher.join(one);
  connect();
  await vi.waitFor(() => expect(one.given).toHaveLength(1));
  const [given] = one.given;
  given?.hear.sent(null);
  expect(given?.socket.destroyed).toBe(false);
  given?.hear.taken();
  expect(given?.socket.destroyed).toBe(true);
});

test("without anybody to serve them connections wait, no more than allowed and no longer", async () => {
  const { dispatcher, connect } = await open(1, 10_000);
  const first = connect();
  const second = connect();
  await vi.waitFor(() => expect([first.ended(), second.ended()].filter(Boolean)).toHaveLength(1));
  const one = recipient();
  dispatcher.join(one);
  expect(one.given).toHaveLength(1);

  const short = await open(10, 5);
  const late = short.connect();
  await vi.waitFor(() => expect(late.ended()).toBe(true));
});
