/** Peppers change without a key that stops: older ones verify, and what they verify is hashed anew. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, test, vi } from "vitest";
import { makeKeyParts, writeKey } from "../../src/access/key-format.ts";
import { createPepper, createPeppers } from "../../src/access/pepper.ts";
import { openPeppers, rotatePepperFile } from "../../src/access/pepper-file.ts";
import { Secret } from "../../src/core/secret.ts";
import { openKeyScene, pepper } from "./scene.ts";

const next = createPepper(new Secret("the-pepper-that-comes-after-0123456789"));
const directories: string[] = [];
afterEach(() => {
  for (const directory of directories.splice(0)) rmSync(directory, { recursive: true, force: true });
});

function newDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), "dragoman-peppers-"));
  directories.push(directory);
  return directory;
}

describe("a key of a previous pepper", () => {
  test("works, is hashed anew with its first use, and then needs the new one alone", async () => {
    const scene = await openKeyScene();
    const { id, key } = await scene.make();
    const stood = await scene.stores.keys.get("default", id);
    expect(stood?.pepperId).toBe(pepper.id);

    const rotated = await openKeyScene({ from: scene, peppers: createPeppers(next, [pepper]) });
    expect(await rotated.ask(key)).toMatchObject({ id });
    await vi.waitFor(async () => expect((await scene.stores.keys.get("default", id))?.pepperId).toBe(next.id));
    expect((await scene.stores.keys.get("default", id))?.hash).not.toBe(stood?.hash);

    const alone = await openKeyScene({ from: scene, peppers: createPeppers(next) });
    expect(await alone.ask(key)).toMatchObject({ id });
  });

  test("is refused with another secret, and stays as it was", async () => {
    const scene = await openKeyScene();
    const { id } = await scene.make();
    const rotated = await openKeyScene({ from: scene, peppers: createPeppers(next, [pepper]) });
    expect(await rotated.ask(writeKey({ ...makeKeyParts("live"), id }))).toBe("unauthenticated");
    expect((await scene.stores.keys.get("default", id))?.pepperId).toBe(pepper.id);
  });

  test("is refused where its pepper is gone", async () => {
    const scene = await openKeyScene();
    const { key } = await scene.make();
    const rotated = await openKeyScene({ from: scene, peppers: createPeppers(next) });
    expect(await rotated.ask(key)).toBe("unauthenticated");
  });
});

describe("the files of a data directory", () => {
  test("keep the old pepper beside the new one, readable by their owner alone", () => {
    const directory = newDirectory();
    const before = openPeppers({}, directory).current;
    const first = rotatePepperFile(directory);
    const second = rotatePepperFile(directory);
    expect(first.from.id).toBe(before.id);
    expect(second.from.id).toBe(first.to.id);
    const opened = openPeppers({}, directory);
    expect(opened.current.id).toBe(second.to.id);
    expect(opened.previous.map(({ id }) => id)).toEqual([before.id, first.to.id]);
    expect(readdirSync(directory).toSorted()).toEqual(["pepper", "pepper.previous"]);
    for (const name of readdirSync(directory)) expect(statSync(join(directory, name)).mode & 0o777, name).toBe(0o600);
  });

  test("are read again by a process that runs, once it meets a key of the new pepper", async () => {
    const directory = newDirectory();
    const running = openPeppers({}, directory);
    const { to } = rotatePepperFile(directory);
    await vi.waitFor(() => expect(running.find(to.id)?.id).toBe(to.id), { timeout: 5_000, interval: 100 });
    expect(running.current.id).toBe(to.id);
  });

  test("are changed by one at a time, and nothing else counts as a pepper", () => {
    const directory = newDirectory();
    openPeppers({}, directory);
    writeFileSync(join(directory, "pepper.lock"), "");
    const before = readFileSync(join(directory, "pepper"), "utf8");
    expect(() => rotatePepperFile(directory)).toThrow(/pepper\.lock/);
    expect(readFileSync(join(directory, "pepper"), "utf8")).toBe(before);
    writeFileSync(join(directory, "pepper.previous"), "short\n");
    expect(() => openPeppers({}, directory)).toThrow(/holds no pepper/);
  });

  test("give way to configured ones", () => {
    const directory = newDirectory();
    const [current, old] = ["a-configured-pepper-0123456789-abcdef", "an-older-one-0123456789-abcdefghijkl"].map(
      (text) => new Secret(text),
    );
    const opened = openPeppers({ pepper: current, previous_peppers: old === undefined ? [] : [old] }, directory);
    expect(readdirSync(directory)).toEqual([]);
    expect(opened.previous).toHaveLength(1);
    expect(opened.find(opened.previous[0]?.id ?? "")?.id).toBe(opened.previous[0]?.id);
  });
});
