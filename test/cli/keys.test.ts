/** `dragoman keys`, in this process, over a store of its own. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { lockKeyFile, readKeyFile } from "../../src/access/key-file.ts";
import { run } from "../../src/cli/run.ts";
import { temporaryDirectory } from "../config/temporary.ts";

const directory = temporaryDirectory();

async function keys(...words: string[]): Promise<{ code: number; out: string; error: string }> {
  let out = "";
  let error = "";
  const terminal = {
    write: (text: string) => void (out += text),
    writeError: (text: string) => void (error += text),
    color: false,
    env: { DRAGOMAN_DATA_DIR: "data" },
    cwd: directory.path,
  };
  const code = await run(["keys", ...words], terminal);
  return { code, out, error };
}

const keyPattern = /^dgm_live_[0-9a-z]{12}_[0-9A-Za-z]{43}_[0-9A-Za-z]{6}\n$/;

test("AUTH-6: a key is made, listed without its secret, and revoked by what is visible of it", async () => {
  const made = await keys("create", "--name", "ci", "--scopes", "chat,embed", "--models", "sim/*", "--expires", "90d");
  expect(made.code).toBe(0);
  expect(made.out).toMatch(keyPattern);
  const [, , id = "", secret = ""] = made.out.trim().split("_");
  const listed = await keys("list");
  expect(listed.out).toContain(id);
  expect(listed.out).toContain("chat,embed");
  expect(listed.out + made.error).not.toContain(secret);
  expect((await keys("list", "--json")).out).not.toMatch(/hash|pepper/i);
  expect(await keys("revoke", `dgm_live_${id.slice(0, 6)}`)).toMatchObject({ code: 0, out: `revoked the key ${id}\n` });
  expect((await keys("list")).out).not.toContain(id);
  expect((await keys("list", "--all")).out).toContain("revoked");
});

test("a beginning that fits several keys or none ends nothing", async () => {
  for (const name of ["a", "b"]) await keys("create", "--name", name);
  expect(await keys("revoke", "zzzzzzzzzzzzz")).toMatchObject({ code: 64, out: "" });
  expect(await keys("revoke")).toMatchObject({ code: 64 });
  expect((await keys("list")).out.split("\n").filter((line) => /\b[ab]\b/.test(line))).toHaveLength(2);
});

test.each([
  [["create", "--roles", "boss"], "--roles"],
  [["create", "--scopes", "everything"], "--scopes"],
  [["create", "--expires", "soon"], "--expires"],
  [["create", "--expires", "2001-01-01"], "expire_time"],
  [["create", "--ips", "nowhere"], "ip_allow[0]"],
  [["import", "missing.txt"], "missing.txt"],
])("%j says what is wrong", async (words, expected) => {
  const { code, out, error } = await keys(...words);
  expect(code).not.toBe(0);
  expect(out).toBe("");
  expect(error).toContain(expected);
});

test("the list fits 80 characters, whatever keys are called; --json has everything", async () => {
  const name = "the nightly pipeline of the shop in the north, with a name that goes on";
  const scopes = "chat,embed,models,images,audio,moderation,rerank";
  await keys("create", "--name", name, "--scopes", scopes, "--roles", "operator,auditor", "--expires", "2099-12-31", "--project", "north");
  const lines = (await keys("list")).out.trimEnd().split("\n");
  expect(Math.max(...lines.map(({ length }) => length))).toBeLessThanOrEqual(80);
  expect(lines.some((line) => /the n[a-z ]*\.\.\./.test(line))).toBe(true);
  expect(lines.some((line) => line.includes("until 2099-12-31"))).toBe(true);
  expect(JSON.parse((await keys("list", "--json", "--project", "north")).out)).toMatchObject({ name, scopes: scopes.split(",") });
});

test("a key is rotated: the old one works on for the overlap, and says until when", async () => {
  const old = (await keys("create", "--name", "to-rotate")).out.split("_")[2] ?? "";
  const rotated = await keys("rotate", old, "--overlap", "7d");
  expect(rotated).toMatchObject({ code: 0 });
  expect(rotated.out).toMatch(keyPattern);
  expect(rotated.error).toMatch(new RegExp(`${old}, works until \\d{4}-`));
  const fresh = rotated.out.split("_")[2] ?? "";
  const records = (await keys("list", "--json")).out
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));
  expect(records.find(({ id }) => id === fresh)).toMatchObject({ rotatedFrom: old, name: "to-rotate" });
  expect((await keys("rotate", fresh, "--overlap", "0h")).error).toContain("no longer works");
  for (const overlap of ["soon", "91d", "-1h"])
    expect(await keys("rotate", old, "--overlap", overlap)).toMatchObject({ code: 64, out: "" });
});

test("a key for one call says so, and takes no environment", async () => {
  const made = await keys("create", "--once", "--roles", "admin", "--name", "break-glass");
  expect(made.out).toMatch(/^dgm_once_/);
  expect(made.error).toContain("for one call");
  expect(await keys("create", "--once", "--env", "test")).toMatchObject({ code: 64, out: "" });
});

test("who ends the last key of an admin is told how to make another", async () => {
  const id = (await keys("create", "--roles", "admin", "--tenant", "north")).out.split("_")[2] ?? "";
  const second = (await keys("create", "--roles", "admin", "--tenant", "north")).out.split("_")[2] ?? "";
  expect((await keys("revoke", id, "--tenant", "north")).error).toBe("");
  expect((await keys("revoke", second, "--tenant", "north")).error).toContain("keys create --roles admin");
});

test("the pepper is changed; keys of the old one are counted until they are used", async () => {
  await keys("create", "--name", "before");
  const [, before = ""] = /^(\w{8})\s+current/m.exec((await keys("pepper")).out) ?? [];
  expect((await keys("rotate-pepper")).out).toContain(`keys of ${before} are hashed anew`);
  await keys("create", "--name", "after");
  const shown = await keys("pepper");
  expect(shown.out).toMatch(/^\w{8}\s+current\s+1$/m);
  expect(shown.out).toMatch(new RegExp(`^${before}\\s+previous\\s+[1-9]`, "m"));
  expect(shown.error).toContain("not hashed with the current pepper");
  expect(readFileSync(join(directory.path, "data/pepper.previous"), "utf8")).not.toContain(before);
});

test("keys of another gateway are imported once; nothing but their hash is kept", async () => {
  const token = `nk-${"0123456789abcdef".repeat(3)}`;
  const nenya = { client_token: "the-clients-token-0123456789", api_keys: { team: { token, roles: ["user"], allowed_agents: ["smart"] } } };
  directory.write("nenya.json", JSON.stringify(nenya));
  expect((await keys("import", "nenya.json")).out).toBe("imported 2 of 2 keys\n");
  expect((await keys("import", "nenya.json")).out).toContain("imported 0 of 2 keys");
  const listed = (await keys("list", "--json")).out;
  expect(listed).toContain('"models":["smart"]');
  expect(listed).not.toContain(token);
  directory.write("short.json", JSON.stringify({ api_keys: [{ token: "short" }] }));
  expect(await keys("import", "short.json")).toMatchObject({ code: 78 });
});

test("a key file is locked: its keys go on working, and cannot be read from it", async () => {
  const text = "# team\n\nplain-text-key-0123456789 chat  # ann\n" + `${"a".repeat(64)} embed\r\nanother-key-9876543210\n`;
  const path = join(directory.path, "keys.txt");
  writeFileSync(path, text, { mode: 0o600 });
  expect((await keys("lock", "keys.txt")).out).toContain("locked 2 keys");
  const locked = readFileSync(path, "utf8");
  expect(locked).not.toMatch(/plain-text-key|another-key/);
  expect(locked).toContain("# team\n\n");
  expect([...readKeyFile(locked, "keys")]).toEqual([...readKeyFile(text, "keys")]);
  expect(lockKeyFile(locked, "keys")).toEqual({ text: locked, locked: 0 });
});
