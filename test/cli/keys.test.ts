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

test("a key is made, listed without its secret, and revoked by what is visible of it", async () => {
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
