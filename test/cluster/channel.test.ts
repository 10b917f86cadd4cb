import { setImmediate as nextTurn } from "node:timers/promises";
import { expect, test, vi } from "vitest";
import { Channel } from "../../src/cluster/channel.ts";
import { LinkError } from "../../src/core/worker-link.ts";

/** Two ends whose messages are cloned as between processes, and how many went each way. */
function connect() {
  const sent = { left: 0, right: 0 };
  const left: Channel = new Channel({
    send: (message) => {
      sent.left++;
      right.receive(structuredClone(message));
    },
  });
  const right: Channel = new Channel({
    send: (message) => {
      sent.right++;
      left.receive(structuredClone(message));
    },
  });
  return { left, right, sent };
}

test("an answer reaches who asked, with bigints and bytes as they are", async () => {
  const { left, right } = connect();
  right.serve("double", (body) => (body as bigint) * 2n);
  right.serve("same", (body) => body);
  expect(await Promise.all([left.ask("double", 2n ** 60n), left.ask("same", new Uint8Array([1, 2])), left.ask("double", 4n)])).toEqual([
    2n ** 61n,
    new Uint8Array([1, 2]),
    8n,
  ]);
});

test("what is asked in one turn travels as one message, and so do the answers", async () => {
  const { left, right, sent } = connect();
  right.serve("echo", (body) => body);
  const answers = await Promise.all(Array.from({ length: 100 }, (_, index) => left.ask("echo", index)));
  expect(answers).toHaveLength(100);
  expect(sent).toEqual({ left: 1, right: 1 });
});

test("notices and questions arrive in the order in which they were made", async () => {
  const { left, right } = connect();
  const seen: unknown[] = [];
  right.serve("note", (body) => void seen.push(body));
  left.tell("note", 1);
  left.tell("note", 2);
  await left.ask("note", 3);
  expect(seen).toEqual([1, 2, 3]);
});

test("what a handler throws, and an unknown topic, refuse the asker alone", async () => {
  const { left, right } = connect();
  right.serve("fail", () => {
    throw new RangeError("too far");
  });
  right.serve("echo", (body) => body);
  await expect(left.ask("fail", 1)).rejects.toThrow(new LinkError("too far"));
  await expect(left.ask("nothing", 1)).rejects.toThrow("nobody answers nothing");
  expect(await left.ask("echo", 1)).toBe(1);
});

test("an answer that does not come in time is an error, and is ignored when it comes", async () => {
  const { left, right } = connect();
  const late = Promise.withResolvers<string>();
  right.serve("slow", () => late.promise);
  await expect(left.ask("slow", 1, { timeoutMs: 5 })).rejects.toThrow("no answer to slow within 5 ms");
  late.resolve("late");
  await nextTurn();
  right.serve("echo", (body) => body);
  expect(await left.ask("echo", 2)).toBe(2);
});

test("a body that cannot be sent fails its own question only", async () => {
  const { left, right } = connect();
  right.serve("echo", (body) => body);
  right.serve("function", () => () => 1);
  const answers = await Promise.allSettled([left.ask("echo", 1), left.ask("echo", () => 1), left.ask("function", 1), left.ask("echo", 2)]);
  expect(answers.map(({ status }) => status)).toEqual(["fulfilled", "rejected", "rejected", "fulfilled"]);
  expect((answers[1] as PromiseRejectedResult).reason.message).toContain("it cannot be sent");
});

test("a closed channel fails what waits, and everything after", async () => {
  const send = vi.fn();
  const channel = new Channel({ send });
  const waiting = channel.ask("echo", 1);
  channel.close();
  await expect(waiting).rejects.toThrow("the other process is gone");
  await expect(channel.ask("echo", 2)).rejects.toThrow("the other process is gone");
  channel.tell("echo", 3);
  await nextTurn();
  expect(send).not.toHaveBeenCalled();
});

test("messages of others are left to them", () => {
  const channel = new Channel({ send: () => {} });
  expect([channel.receive({ connection: "data" }), channel.receive("text"), channel.receive(null)]).toEqual([false, false, false]);
});
