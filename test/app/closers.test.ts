import { describe, expect, test } from "vitest";
import { Closers } from "../../src/app/closers.ts";
import { silentLog } from "../../src/core/log.ts";

describe("what was opened", () => {
  test("is closed once, the last opened first, each after the one before", async () => {
    const closers = new Closers();
    const closed: string[] = [];
    const close = (name: string, graceMs: number) =>
      new Promise<void>((resolve) => {
        setImmediate(() => {
          closed.push(`${name} ${graceMs}`);
          resolve();
        });
      });
    closers.keep("stores", close);
    expect(closers.keep("providers", close)).toBe("providers");
    await Promise.all([closers.close(7), closers.close(0)]);
    expect(closed).toEqual(["providers 7", "stores 7"]);
  });

  test("is closed to the end even where something of it fails", async () => {
    const closers = new Closers();
    const closed: string[] = [];
    closers.keep("stores", (name) => closed.push(name));
    closers.keep("limits", () => Promise.reject(new Error("limits stay open")));
    closers.keep("providers", () => {
      throw new Error("providers stay open");
    });
    await expect(closers.close(0)).rejects.toThrow("providers stay open");
    expect(closed).toEqual(["stores"]);
  });

  test("is closed without grace where a later step fails, whose failure is told", async () => {
    const closed: string[] = [];
    const opening = Closers.closeOnFailure(silentLog, async (closers) => {
      closers.keep("stores", (name, graceMs) => closed.push(`${name} ${graceMs}`));
      closers.keep("limits", () => Promise.reject(new Error("limits stay open")));
      throw new Error("the port is taken");
    });
    await expect(opening).rejects.toThrow("the port is taken");
    expect(closed).toEqual(["stores 0"]);
  });
});
