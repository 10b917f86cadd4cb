import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inspect } from "node:util";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type AccessControl, type AccessOptions, createAccess } from "../../src/access/access.ts";
import { readKeyFile } from "../../src/access/key-file.ts";
import { GatewayError } from "../../src/core/error.ts";
import type { LogFields, Logger } from "../../src/core/log.ts";
import { noPeer } from "../../src/core/peer.ts";
import type { Principal } from "../../src/core/principal.ts";
import { Secret } from "../../src/core/secret.ts";

const key = "caller-key-0123456789";
const other = "another-key-9876543210";
const digest = (text: string) => createHash("sha256").update(text).digest("hex");

let directory: string;
let file: string;
let lines: { level: string; message: string; fields: LogFields | undefined }[];
let open: AccessControl[];

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "dragoman-access-"));
  file = join(directory, "keys");
  lines = [];
  open = [];
});

afterEach(() => {
  for (const access of open) access.close();
  rmSync(directory, { recursive: true, force: true });
});

function start(options: Partial<AccessOptions>): AccessControl {
  const write = (level: string) => (message: string, fields?: LogFields) => void lines.push({ level, message, fields });
  const log: Logger = { debug: write("debug"), info: write("info"), warn: write("warn"), error: write("error") };
  const access = createAccess({ enabled: true, ...options }, log);
  open.push(access);
  return access;
}

/** The principal, or the message of the refusal. */
function ask(access: AccessControl, credential: string | undefined): Principal | string {
  try {
    const principal = access.authenticate(credential, noPeer);
    if (principal instanceof Promise) throw new Error("keys are looked up at once");
    return principal;
  } catch (error) {
    if (error instanceof GatewayError && error.reason === "unauthenticated") return error.message;
    throw error;
  }
}

/** Whether it became true within a second: what is promised. */
async function withinASecond(fact: () => boolean): Promise<boolean> {
  const end = performance.now() + 1_000;
  while (performance.now() < end) {
    if (fact()) return true;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  return false;
}

describe("who is calling", () => {
  test("auth off: everybody is anonymous and may do everything, whatever they send", () => {
    const access = start({ enabled: false });
    expect(access.enabled).toBe(false);
    for (const credential of [undefined, "", "anything"])
      expect(ask(access, credential)).toMatchObject({ id: "anonymous", scopes: new Set(["*"]) });
  });
  test("the one key has every scope and a name that is not the key", () => {
    const access = start({ api_key: new Secret(key) });
    expect(ask(access, key)).toMatchObject({ id: `apikey:${digest(key).slice(0, 16)}`, scopes: new Set(["*"]) });
  });
  test("keys of the file, plain or hashed, with their scopes", () => {
    writeFileSync(file, `# callers\n${key} chat,embed # the app\n\n  ${digest(other).toUpperCase()}\tembed\r\n`);
    const access = start({ api_keys_file: file });
    expect(ask(access, key)).toMatchObject({ id: `apikey:${digest(key).slice(0, 16)}`, scopes: new Set(["chat", "embed", "models"]) });
    expect(ask(access, other)).toMatchObject({ id: `apikey:${digest(other).slice(0, 16)}`, scopes: new Set(["embed", "models"]) });
  });
  test("a key without scopes may do what users do, and nothing of administration", () => {
    writeFileSync(file, key);
    expect(ask(start({ api_keys_file: file }), key)).toMatchObject({ scopes: new Set(["chat", "embed", "models"]) });
  });
  test("missing, malformed, unknown and half-right credentials get one answer", () => {
    const access = start({ api_key: new Secret(key) });
    const wrong = [undefined, "", " ", "x", key.slice(0, -1), `${key}x`, ` ${key}`, digest(key), "x".repeat(100_000), "\u0000", "*"];
    const answers = new Set(wrong.map((credential) => ask(access, credential)));
    expect([...answers]).toEqual(["a valid API key is needed; send it as authorization: Bearer KEY"]);
  });
  test("a refusal is a 401 that names the scheme", () => {
    const access = start({ api_key: new Secret(key) });
    expect(() => access.authenticate("wrong", noPeer)).toThrow(
      expect.objectContaining({ status: 401, details: { headers: { "www-authenticate": 'Bearer realm="dragoman"' } } }),
    );
  });
});

describe("a key file that cannot be used names its lines and no key", () => {
  test.each([
    ["a short key", "short chat", "keys:1: the key is shorter than 16 characters; use a longer one"],
    ["an unknown scope", `# x\n${key} chat,talk`, "keys:2: names an unknown scope; known are chat, embed, models"],
    ["swapped columns", `chat-and-embeddings ${key}`, "keys:1: names an unknown scope"],
    [
      "spaces between scopes",
      `${key} chat, embed`,
      "keys:1: holds more than a key and its scopes; separate scopes by commas, without spaces",
    ],
    ["a key twice", `${key} chat\n${digest(key)} embed`, "keys:2: the key stands in line 1 already; keep one of them"],
  ])("%s", (_, text, message) => {
    let failure: unknown;
    try {
      readKeyFile(text, "keys");
    } catch (error) {
      failure = error;
    }
    expect(failure).toMatchObject({ exitCode: 78, message: expect.stringContaining(message) });
    expect(inspect(failure)).not.toContain(key);
  });
  test("every wrong line is told", () => {
    expect(() => readKeyFile("a\nb\nc", "keys")).toThrow(/keys:1: .*\nkeys:2: .*\nkeys:3: /);
  });
  test("at the start it stops the start: broken, absent, or without a key", () => {
    writeFileSync(file, "short");
    expect(() => start({ api_keys_file: file })).toThrow("the key is shorter");
    expect(() => start({ api_keys_file: join(directory, "nowhere") })).toThrow("cannot be read (ENOENT)");
    writeFileSync(file, "# nobody\n");
    expect(() => start({ api_keys_file: file })).toThrow("holds no key");
    expect(() => start({ api_keys_file: file, api_key: new Secret(key) })).not.toThrow();
  });
});

describe("the file is read again within a second", () => {
  test("AUTH-6: when it is written: new keys hold, old ones do not", async () => {
    writeFileSync(file, key);
    const access = start({ api_keys_file: file });
    writeFileSync(file, other);
    expect(await withinASecond(() => typeof ask(access, other) !== "string")).toBe(true);
    expect(ask(access, key)).toContain("a valid API key is needed");
    expect(lines.filter(({ level }) => level !== "info")).toEqual([]);
  });
  test("when another file takes its place", async () => {
    writeFileSync(file, key);
    const access = start({ api_keys_file: file });
    for (const next of [other, key]) {
      writeFileSync(`${file}.new`, next);
      renameSync(`${file}.new`, file);
      expect(await withinASecond(() => typeof ask(access, next) !== "string")).toBe(true);
    }
  });
  test("when a mounted directory is swapped behind a symbolic link", async () => {
    const version = (name: string, text: string) => {
      mkdirSync(join(directory, name));
      writeFileSync(join(directory, name, "keys"), text);
    };
    version("..1", key);
    version("..2", other);
    symlinkSync("..1", join(directory, "..data"));
    symlinkSync(join("..data", "keys"), file);
    const access = start({ api_keys_file: file });
    symlinkSync("..2", join(directory, "..data_tmp"));
    renameSync(join(directory, "..data_tmp"), join(directory, "..data"));
    expect(await withinASecond(() => typeof ask(access, other) !== "string")).toBe(true);
    expect(ask(access, key)).toContain("a valid API key is needed");
  });
  test("a broken file leaves the old keys and says so once, without keys; a mended one counts again", async () => {
    writeFileSync(file, key);
    const access = start({ api_keys_file: file });
    writeFileSync(file, `${other}\nshort-secret-1`);
    const errors = () => lines.filter(({ level }) => level === "error");
    expect(await withinASecond(() => errors().length > 0)).toBe(true);
    rmSync(file);
    await new Promise((resolve) => setTimeout(resolve, 600));
    writeFileSync(file, "");
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(errors()).toHaveLength(1);
    expect(inspect(lines, { depth: null })).not.toMatch(/short-secret|another-key|caller-key/);
    expect(typeof ask(access, key)).toBe("object");
    writeFileSync(file, other);
    expect(await withinASecond(() => typeof ask(access, other) !== "string")).toBe(true);
    expect(lines.at(-1)).toMatchObject({ level: "info", message: "api keys read again", fields: { count: 1 } });
  });
  test("a comment alone revokes every key", async () => {
    writeFileSync(file, key);
    const access = start({ api_keys_file: file });
    writeFileSync(file, "# nobody\n");
    expect(await withinASecond(() => typeof ask(access, key) === "string")).toBe(true);
  });
  test("not after it is closed", async () => {
    writeFileSync(file, key);
    const access = start({ api_keys_file: file });
    access.close();
    writeFileSync(file, other);
    await new Promise((resolve) => setTimeout(resolve, 600));
    expect(typeof ask(access, key)).toBe("object");
  });
});
