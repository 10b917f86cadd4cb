/** Keys where several gateways share a store, on SQLite and on PostgreSQL. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test, vi } from "vitest";
import { installer, plainKey } from "../../src/access/key-administration.ts";
import { keepingAdmin } from "../../src/access/last-admin.ts";
import { openAccess } from "../../src/access/open-access.ts";
import { createPepper, createPeppers } from "../../src/access/pepper.ts";
import { loadConfig } from "../../src/config/load.ts";
import { invalidField } from "../../src/core/error.ts";
import { silentLog } from "../../src/core/log.ts";
import { Secret } from "../../src/core/secret.ts";
import type { Stores } from "../../src/core/stores.ts";
import { allTenants } from "../../src/stores/database.ts";
import { MovableClock, openKeyScene, pepper } from "../access/scene.ts";
import { describeEngines, openBareDatabase, openTestStores } from "../stores/engines.ts";
import { auditEntry } from "../stores/records.ts";

const next = createPepper(new Secret("the-pepper-that-comes-after-0123456789"));

function newDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), "dragoman-keys-"));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

describeEngines("keys", (engine) => {
  const open = async () => {
    const clock = new MovableClock();
    const place = await engine.newPlace();
    return { place, clock, stores: await openTestStores(place, clock) };
  };

  test("a key of the previous pepper works, and is hashed anew with its first use", async () => {
    const place = await open();
    const before = await openKeyScene({ from: place });
    const { id, key } = await before.make();
    const after = await openKeyScene({ from: place, peppers: createPeppers(next, [pepper]) });
    expect(await after.ask(key)).toMatchObject({ id });
    await vi.waitFor(async () => expect((await place.stores.keys.get("default", id))?.pepperId).toBe(next.id));
    const alone = await openKeyScene({ from: place, peppers: createPeppers(next) });
    expect(await alone.ask(key)).toMatchObject({ id });
  });

  test("a key for one call lets in one of many", async () => {
    const { place, clock, stores } = await open();
    const gateways = await Promise.all([
      openKeyScene({ from: { clock, stores } }),
      openKeyScene({ from: { clock, stores: await openTestStores(place, clock) } }),
    ]);
    const [first] = gateways;
    const { secret } = await first.administration.create("default", { ...plainKey, roles: ["admin"] }, installer, "once");
    const answers = await Promise.all(Array.from({ length: 12 }, (_, index) => gateways[index % 2]?.ask(secret.reveal())));
    expect(answers.filter((answer) => typeof answer !== "string")).toHaveLength(1);
  });

  test("of admins who end each other's keys at once, one stays", async () => {
    const { place, clock, stores } = await open();
    const gateways = await Promise.all(
      [stores, await openTestStores(place, clock), await openTestStores(place, clock)].map((of) =>
        openKeyScene({ from: { clock, stores: of } }),
      ),
    );
    const ends = [{ revoke: true }, { enabled: false }, { roles: ["viewer"] }] as const;
    for (let round = 0; round < 9; round++) {
      const tenant = `t${round}`;
      const admins = await Promise.all(
        gateways.slice(0, 2 + (round % 2)).map(async (gateway) => {
          const { record, secret } = await gateway.administration.create(tenant, { ...plainKey, roles: ["admin"] }, installer);
          const principal = await gateway.ask(secret.reveal());
          if (typeof principal === "string") throw new Error(principal);
          return { id: record.id, gateway, principal };
        }),
      );
      const way = ends[round % ends.length] ?? ends[0];
      const outcomes = await Promise.allSettled(
        admins.map(({ gateway: { administration }, principal }, index) => {
          const { id = "" } = admins[(index + 1) % admins.length] ?? {};
          return "revoke" in way ? administration.revoke(tenant, id, principal) : administration.update(tenant, id, way, principal);
        }),
      );
      const refused = outcomes.filter((outcome) => outcome.status === "rejected");
      expect(refused.map(({ reason }) => String(reason))).toEqual([expect.stringContaining("last key that administers")]);
      expect(await gateways[0]?.administration.hasAdmin(tenant)).toBe(true);
    }
  });

  test("of admins who disable each other's projects at once, or a key and its maker's project, one stays", async () => {
    const { place, clock, stores } = await open();
    const second = await openTestStores(place, clock);
    const gateways = await Promise.all([stores, second].map((of) => openKeyScene({ from: { clock, stores: of } })));
    for (let round = 0; round < 8; round++) {
      const tenant = `t${round}`;
      for (const project of ["left", "right"])
        await stores.projects.create(tenant, project, { name: "", enabled: true, settingsJson: "{}" });
      const [left, right] = await Promise.all(
        gateways.map(async ({ administration, ask }, index) => {
          const project = index === 0 ? "left" : "right";
          const { record, secret } = await administration.create(tenant, { ...plainKey, project, roles: ["admin"] }, installer);
          const principal = await ask(secret.reveal());
          if (typeof principal === "string") throw new Error(principal);
          return { id: record.id, principal };
        }),
      );
      const disable = (of: Stores, project: string, maker: typeof left) => {
        if (maker === undefined) throw new Error("nobody disables it");
        const check = keepingAdmin(maker.principal, tenant, clock.wall(), () => invalidField("project.enabled", "is the last"));
        return of.projects.update(tenant, project, { enabled: false }, undefined, check);
      };
      const outcomes = await Promise.allSettled([
        round % 2 === 0
          ? disable(stores, "right", left)
          : gateways[0]?.administration.revoke(tenant, right?.id ?? "", left?.principal ?? installer),
        disable(second, "left", right),
      ]);
      expect(outcomes.map(({ status }) => status).sort()).toEqual(["fulfilled", "rejected"]);
      const keys = (await stores.keys.list(tenant, { role: "admin", revoked: false }, { size: 9 })).items;
      const open = await Promise.all(keys.map(async ({ project }) => (await stores.projects.get(tenant, project))?.enabled));
      expect(open).toContain(true);
    }
  });

  test("of gateways that start at once on an empty store, one prints a key", async () => {
    const { place, clock } = await open();
    const directory = newDirectory();
    const { auth } = loadConfig({ file: undefined, env: { DRAGOMAN__AUTH__ENABLED: "true" }, cwd: directory });
    const start = (stores: Stores) =>
      openAccess({
        auth,
        trustedProxies: [],
        hostNames: [],
        dataDir: directory,
        stores,
        fetchJson: () => Promise.reject(new Error("nothing is fetched")),
        clock,
        log: silentLog,
      });
    const several = await Promise.all(Array.from({ length: 4 }, () => openTestStores(place, clock)));
    const opened = await Promise.all(several.map(start));
    const again = await start(several[0] as Stores);
    await Promise.all([...opened, again].map(({ close }) => close()));
    expect(opened.filter(({ firstKey }) => firstKey !== undefined)).toHaveLength(1);
    expect(again.firstKey).toBeUndefined();
  });

  test("the audit log takes no change and no deletion, by whatever statement", async () => {
    const { place, stores } = await open();
    await stores.audit.append("default", auditEntry());
    const database = openBareDatabase(place);
    const emptying = engine.name === "postgres" ? ["TRUNCATE audit"] : [];
    for (const sql of ["UPDATE audit SET actor = 'nobody'", "DELETE FROM audit", "DELETE FROM audit WHERE sequence = 1", ...emptying]) {
      await expect(database.write(allTenants, [{ sql, values: [] }]), sql).rejects.toThrow();
    }
    expect(await stores.audit.verify("default")).toEqual({ entries: 1, brokenAt: undefined });
  });
});
