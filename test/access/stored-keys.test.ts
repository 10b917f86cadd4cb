import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { installer, plainKey } from "../../src/access/key-administration.ts";
import { sha256OfKey } from "../../src/access/key-file.ts";
import { makeKeyParts, writeKey } from "../../src/access/key-format.ts";
import { keyCacheLimits } from "../../src/access/stored-keys.ts";
import type { Principal } from "../../src/core/principal.ts";
import { type KeyScene, openKeyScene } from "./scene.ts";

const junk: readonly string[] = readFileSync(new URL("./junk-credentials.txt", import.meta.url), "utf8")
  .split("\n")
  .filter((line) => line !== "");

describe("X1: what cannot be a key", () => {
  test("reaches no store: SQL, scripts, paths, wrong checksums", async () => {
    const { ask, lookUps, make } = await openKeyScene();
    const { key } = await make();
    const wrong = [
      ...junk,
      `${key}x`,
      key.slice(0, -1),
      `${key.slice(0, -1)}${key.endsWith("0") ? "1" : "0"}`,
      "dgm_live_0_1_2",
      "x".repeat(4_096),
    ];
    for (const text of wrong) expect(await ask(text)).toBe("unauthenticated");
    expect(lookUps()).toBe(0);
  });

  test("nor does a key of another shape that nobody imported", async () => {
    const { ask, lookUps } = await openKeyScene();
    expect(await ask(`cgn-${"0123456789abcdef".repeat(2)}`)).toBe("unauthenticated");
    expect(lookUps()).toBe(0);
  });
});

describe("C8: a key", () => {
  test("lets its holder in with what it says", async () => {
    const { make, ask } = await openKeyScene();
    const { id, key } = await make({
      project: "blue",
      owner: "team",
      roles: ["operator"],
      scopes: ["chat"],
      models: ["sim/*"],
      app: "shop",
    });
    expect(await ask(key)).toMatchObject({
      id,
      kind: "key",
      tenant: "default",
      project: "blue",
      owner: "team",
      models: ["sim/*"],
      app: "shop",
    });
    expect([...((await ask(key)) as Principal).scopes]).toEqual(["chat", "models"]);
  });

  test("without scopes has what its roles imply; relay only by name where it is held to models", async () => {
    const { make, ask } = await openKeyScene();
    const scopesOf = async (facts: Parameters<typeof make>[0]) => ((await ask((await make(facts)).key)) as Principal).scopes;
    expect((await scopesOf({})).has("passthrough")).toBe(true);
    expect((await scopesOf({})).has("admin")).toBe(false);
    expect((await scopesOf({ models: ["sim/echo"] })).has("passthrough")).toBe(false);
    expect((await scopesOf({ models: ["sim/echo"], scopes: ["passthrough"] })).has("passthrough")).toBe(true);
    expect((await scopesOf({ roles: ["viewer"] })).has("chat")).toBe(false);
  });

  test("with another secret is refused, as an unknown id is", async () => {
    const { make, ask, lookUps } = await openKeyScene();
    const { id } = await make();
    expect(await ask(writeKey({ ...makeKeyParts("live"), id }))).toBe("unauthenticated");
    expect(await ask(writeKey(makeKeyParts("live")))).toBe("unauthenticated");
    expect(lookUps()).toBe(2);
  });

  test("is looked up once in 30 seconds, a wrong one once in 5", async () => {
    const { make, ask, lookUps, clock } = await openKeyScene();
    const { key } = await make();
    for (let turn = 0; turn < 5; turn++) await ask(key);
    expect(lookUps()).toBe(1);
    clock.time += 30_000;
    await ask(key);
    expect(lookUps()).toBe(2);
    const wrong = writeKey(makeKeyParts("live"));
    for (let turn = 0; turn < 5; turn++) await ask(wrong);
    expect(lookUps()).toBe(3);
    clock.time += 5_000;
    await ask(wrong);
    expect(lookUps()).toBe(4);
  });

  test("is looked up once by many callers at once", async () => {
    const { make, ask, lookUps } = await openKeyScene();
    const { key, id } = await make();
    const answers = await Promise.all(Array.from({ length: 50 }, () => ask(key)));
    expect(new Set(answers.map((answer) => (answer as Principal).id))).toEqual(new Set([id]));
    expect(lookUps()).toBe(1);
  });

  test("stops at its expiry, though it is remembered", async () => {
    const { make, ask, clock } = await openKeyScene();
    const { key } = await make({ expiresAt: clock.time + 2_000 });
    expect(await ask(key)).toHaveProperty("id");
    clock.time += 2_000;
    expect(await ask(key)).toBe("unauthenticated");
  });

  test("works only from its addresses", async () => {
    const { make, ask } = await openKeyScene();
    const { key } = await make({ ipAllow: ["10.1.0.0/16", "2001:db8::7"] });
    expect(await ask(key, "10.1.2.3")).toHaveProperty("id");
    expect(await ask(key, "2001:db8::7")).toHaveProperty("id");
    for (const address of ["10.2.0.1", "2001:db8::8", "", "junk"]) expect(await ask(key, address)).toBe("forbidden");
  });

  test("stops with its tenant and its project", async () => {
    const { make, ask, stores, stored } = await openKeyScene();
    const { key } = await make();
    await stores.projects.create("default", "default", { name: "", enabled: false, settingsJson: "{}" });
    stored.forgetTenant("default");
    expect(await ask(key)).toBe("unauthenticated");
  });

  test("notes when it was used, later and not often", async () => {
    const { make, ask, changes, stores, clock } = await openKeyScene();
    const { id, key } = await make();
    await ask(key);
    expect((await stores.keys.get("default", id))?.lastUsedAt).toBeUndefined();
    clock.time += 1_000;
    await ask(key);
    await changes.flush();
    expect((await stores.keys.get("default", id))?.lastUsedAt).toBe(clock.time);
  });
});

describe("X11: revocation", () => {
  test("is seen at once by the process that did it", async () => {
    const { make, ask, administration } = await openKeyScene();
    const { id, key } = await make();
    await ask(key);
    await administration.revoke("default", id, undefined);
    expect(await ask(key)).toBe("unauthenticated");
  });

  test("is seen by another process with its next look at the store", async () => {
    const { make, ask, administration, changes } = await openKeyScene({ separate: true });
    const { id, key } = await make();
    await changes.look();
    await ask(key);
    await administration.revoke("default", id, undefined);
    expect(await ask(key)).toHaveProperty("id");
    await changes.look();
    expect(await ask(key)).toBe("unauthenticated");
  });
});

describe("rotation", () => {
  test("both keys work until the overlap ends; the new one says what it replaces", async () => {
    const { make, ask, administration, clock } = await openKeyScene();
    const { id, key } = await make({ name: "ci", models: ["sim/*"] });
    const rotated = await administration.rotate("default", id, { overlapMs: 60_000 }, installer);
    expect(rotated.record).toMatchObject({ name: "ci", models: ["sim/*"], rotatedFrom: id });
    expect(await ask(key)).toMatchObject({ id });
    expect(await ask(rotated.secret.reveal())).toMatchObject({ id: rotated.record.id });
    clock.time += 60_000;
    expect(await ask(key)).toBe("unauthenticated");
    expect(await ask(rotated.secret.reveal())).toMatchObject({ id: rotated.record.id });
  });

  test("without an overlap the old key stops at once", async () => {
    const { make, ask, administration } = await openKeyScene();
    const { id, key } = await make();
    await administration.rotate("default", id, { overlapMs: 0 }, installer);
    expect(await ask(key)).toBe("unauthenticated");
  });
});

describe("a key for one call", () => {
  async function makeOne(scene: KeyScene) {
    const facts = { ...plainKey, roles: ["admin" as const], ipAllow: ["192.0.2.0/24"] };
    const { record, secret } = await scene.administration.create("default", facts, installer, "once");
    return { id: record.id, key: secret.reveal() };
  }

  test("lets its holder in once, and is revoked then", async () => {
    const scene = await openKeyScene();
    const { id, key } = await makeOne(scene);
    expect(await scene.ask(key)).toMatchObject({ id, roles: new Set(["admin"]) });
    expect(await scene.ask(key)).toBe("unauthenticated");
    expect((await scene.stores.keys.get("default", id))?.revokedAt).toBe(scene.clock.time);
  });

  test("lets in one of many callers at once, over several gateways", async () => {
    const scene = await openKeyScene();
    const other = await openKeyScene({ from: scene });
    const { key } = await makeOne(scene);
    const answers = await Promise.all(Array.from({ length: 20 }, (_, index) => (index % 2 === 0 ? scene : other).ask(key)));
    expect(answers.filter((answer) => typeof answer !== "string")).toHaveLength(1);
    expect(new Set(answers.filter((answer) => typeof answer === "string"))).toEqual(new Set(["unauthenticated"]));
  });

  test("is not used up by who may not use it, nor while the store is away", async () => {
    const scene = await openKeyScene();
    const { key } = await makeOne(scene);
    expect(await scene.ask(key, "198.51.100.1")).toBe("forbidden");
    scene.away = true;
    expect(await scene.ask(key)).toBe("store_unavailable");
    scene.away = false;
    scene.clock.time += keyCacheLimits.restMs;
    expect(await scene.ask(key)).toHaveProperty("id");
  });
});

describe("AUTH-6: keys of other shapes", () => {
  const foreign = [
    `cgn-${"0123456789abcdef".repeat(2)}`,
    `nk-${"0123456789abcdef".repeat(3)}`,
    "agk_shop.s3cret-of-some-length",
    "kr_live_abcdefghijklmnop",
    "dgm_old_but_not_ours_at_all",
    "whatever~somebody~chose",
  ];

  test.each(foreign)("%s works once it is imported, and only its hash is stored", async (key) => {
    const { ask, administration, stores } = await openKeyScene();
    expect(await ask(key)).toBe("unauthenticated");
    const { record } = await administration.import("default", sha256OfKey(key), { ...plainKey, name: "old" }, installer);
    expect(JSON.stringify(await stores.keys.get("default", record.id))).not.toContain(key);
    expect(await ask(`${key}x`)).toBe("unauthenticated");
    expect(await ask(key)).toMatchObject({ id: record.id });
  });

  test("are found after an import by another process", async () => {
    const { ask, administration, changes } = await openKeyScene({ separate: true });
    const [key = ""] = foreign;
    await administration.import("default", sha256OfKey(key), plainKey, installer);
    await changes.look();
    expect(await ask(key)).toHaveProperty("id");
  });

  test("an administrator's keep no lists; the same key twice is one", async () => {
    const { administration } = await openKeyScene();
    const facts = { ...plainKey, roles: ["admin" as const], models: ["a"], endpoints: ["GET /v1/models"] };
    const first = await administration.import("default", sha256OfKey("somebody-s-admin-key"), facts, installer);
    expect(first).toMatchObject({ created: true, record: { models: [], endpoints: [] } });
    const second = await administration.import("default", sha256OfKey("somebody-s-admin-key"), facts, installer);
    expect(second).toMatchObject({ created: false, record: { id: first.record.id } });
  });
});

describe("while the store is away", () => {
  test("known keys go on working for ten minutes, unknown ones are told to come again", async () => {
    const scene = await openKeyScene();
    const { key } = await scene.make();
    const unknown = await scene.make();
    await scene.ask(key);
    scene.away = true;
    scene.clock.time += 60_000;
    expect(await scene.ask(key)).toHaveProperty("id");
    expect(await scene.ask(unknown.key)).toBe("store_unavailable");
    scene.clock.time += 530_000;
    expect(await scene.ask(key)).toHaveProperty("id");
    scene.clock.time += 20_000;
    expect(await scene.ask(key)).toBe("store_unavailable");
    scene.away = false;
    expect(await scene.ask(key)).toHaveProperty("id");
  });

  test("the store is not asked by every call", async () => {
    const scene = await openKeyScene();
    const { key } = await scene.make();
    await scene.ask(key);
    scene.away = true;
    scene.clock.time += 60_000;
    const before = scene.lookUps();
    for (let turn = 0; turn < 100; turn++) await scene.ask(key);
    expect(scene.lookUps() - before).toBe(1);
  });

  test("one call waits for a store that does not answer, the next ones do not", async () => {
    const scene = await openKeyScene();
    const { key } = await scene.make();
    await scene.ask(key);
    scene.silent = true;
    scene.clock.time += 60_000;
    const begin = performance.now();
    expect(await scene.ask(key)).toHaveProperty("id");
    expect(performance.now() - begin).toBeGreaterThan(keyCacheLimits.patienceMs - 50);
    const again = scene.stored.authenticate(key, sha256OfKey(key), () => "192.0.2.1");
    expect(again, "at once, so it is no promise").toHaveProperty("id");
  });
});
