/** Keys, tenants and the audit log, as administrators use them over a real port. */
import { execFile } from "node:child_process";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { create } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { AuditOutcome, AuditService } from "../../../gen/dragoman/admin/v1/audit_service_pb.ts";
import { KeyService } from "../../../gen/dragoman/admin/v1/key_service_pb.ts";
import { TenantService } from "../../../gen/dragoman/admin/v1/tenant_service_pb.ts";
import { AccessRole } from "../../../gen/dragoman/v1/auth_pb.ts";
import { GenerateRequestSchema, Role } from "../../../gen/dragoman/v1/generate_pb.ts";
import { InferenceService } from "../../../gen/dragoman/v1/inference_service_pb.ts";
import { run } from "../../../src/cli/run.ts";
import { type AdminGateway, otherTenant, startAdminGateway } from "./admin-gateway.ts";

let gateway: AdminGateway;
const secrets: string[] = [];

beforeAll(async () => {
  gateway = await startAdminGateway({ routes: { smart: { targets: [{ provider: "sim", model: "echo" }] } } });
}, 30_000);
afterAll(() => gateway.close());

const keys = () => gateway.admin(KeyService, gateway.root);

async function codeOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
    return "ok";
  } catch (error) {
    return Code[ConnectError.from(error).code] ?? "";
  }
}

async function make(key: Parameters<ReturnType<typeof keys>["createKey"]>[0]["key"] = {}, tenant = "") {
  const made = await keys().createKey({ tenant, key: key ?? {} });
  secrets.push(made.secret);
  return { id: made.key?.id ?? "", secret: made.secret, key: made.key };
}

async function chat(secret: string, model = "sim/echo", headers: Record<string, string> = {}) {
  const response = await fetch(`${gateway.app.dataUrl}/v1/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json", authorization: `Bearer ${secret}`, ...headers },
    body: JSON.stringify({ model, messages: [{ role: "user", content: "hello" }] }),
  });
  return { status: response.status, text: await response.text() };
}

describe("keys", () => {
  test("are shown once, work at once, and stop within a moment of their revocation", async () => {
    const { id, secret, key } = await make({ name: "ci", roles: [AccessRole.MEMBER] });
    expect(secret.startsWith(`${key?.prefix}_`)).toBe(true);
    expect((await chat(secret)).status).toBe(200);
    expect(JSON.stringify(await keys().getKey({ id }), (_, value) => (typeof value === "bigint" ? String(value) : value))).not.toContain(
      secret.slice(22, 40),
    );
    await keys().revokeKey({ id });
    expect((await chat(secret)).status).toBe(401);
    expect(await codeOf(keys().updateKey({ key: { id, name: "x" }, updateMask: { paths: ["name"] } }))).toBe("InvalidArgument");
    expect((await keys().revokeKey({ id })).key?.revokeTime).toBeDefined();
  });

  test("are held to models by what a name becomes, on every surface, and see only those", async () => {
    const { secret } = await make({ models: ["smart"] });
    expect((await chat(secret, "smart")).status).toBe(200);
    for (const model of ["sim/echo", "@sim/echo"]) expect((await chat(secret, model)).status, model).toBe(403);
    const inference = gateway.data(InferenceService, secret);
    const ask = (model: string) =>
      create(GenerateRequestSchema, { model, messages: [{ role: Role.USER, parts: [{ part: { case: "text", value: "hi" } }] }] });
    expect(await codeOf(inference.complete({ generate: ask("sim/echo") }))).toBe("PermissionDenied");
    expect(await codeOf(inference.complete({ generate: ask("smart") }))).toBe("ok");
    expect((await inference.listModels({})).models.map(({ id }) => id)).toEqual(["smart"]);
  });

  test("are held to endpoints, exactly; scopes are asked before the body is read", async () => {
    const { secret } = await make({ endpoints: ["POST /v1/chat/completions"] });
    expect((await chat(secret)).status).toBe(200);
    const headers = { authorization: `Bearer ${secret}` };
    expect((await fetch(`${gateway.app.dataUrl}/v1/models`, { headers })).status).toBe(403);
    expect(await codeOf(gateway.data(InferenceService, secret).listModels({}))).toBe("PermissionDenied");
    const chatOnly = await make({ scopes: ["chat"] });
    const embeddings = {
      method: "POST",
      headers: { authorization: `Bearer ${chatOnly.secret}`, "content-type": "application/json" },
      body: "{",
    };
    expect((await fetch(`${gateway.app.dataUrl}/v1/embeddings`, embeddings)).status).toBe(403);
  });

  test("are held to addresses; x-forwarded-for of anybody moves nothing", async () => {
    const { secret } = await make({ ipAllow: ["10.0.0.0/8"] });
    expect((await chat(secret)).status).toBe(403);
    expect((await chat(secret, "sim/echo", { "x-forwarded-for": "10.0.0.1" })).status).toBe(403);
    expect(await codeOf(make({ ipAllow: ["somewhere"] }))).toBe("InvalidArgument");
  });

  test("rotate with an overlap", async () => {
    const { id, secret } = await make({ name: "rotating" });
    const rotated = await keys().rotateKey({ id });
    secrets.push(rotated.secret);
    expect(rotated.key).toMatchObject({ name: "rotating", rotatedFrom: id });
    expect(rotated.replaced?.expireTime).toBeDefined();
    expect([(await chat(secret)).status, (await chat(rotated.secret)).status]).toEqual([200, 200]);
    await keys()
      .rotateKey({ id: rotated.key?.id ?? "", overlap: { seconds: 0n, nanos: 0 } })
      .then(({ secret: last }) => secrets.push(last));
    expect((await chat(rotated.secret)).status).toBe(401);
  });

  test("change only what the mask names, and only what was seen", async () => {
    const { id, key } = await make({ name: "before", owner: "ann" });
    const changed = await keys().updateKey({
      key: { id, name: "after", owner: "bob" },
      updateMask: { paths: ["name"] },
      etag: key?.etag ?? "",
    });
    expect(changed.key).toMatchObject({ name: "after", owner: "ann" });
    expect(await codeOf(keys().updateKey({ key: { id, name: "late" }, updateMask: { paths: ["name"] }, etag: key?.etag ?? "" }))).toBe(
      "Aborted",
    );
    expect(await codeOf(keys().updateKey({ key: { id }, updateMask: { paths: ["secret"] } }))).toBe("InvalidArgument");
    expect(await codeOf(keys().updateKey({ key: { id } }))).toBe("InvalidArgument");
  });

  test("come in pages that neither lose nor repeat one", async () => {
    for (let count = 0; count < 5; count++) await make({ project: "paged" });
    const seen: string[] = [];
    for (let pageToken = ""; ; ) {
      const page = await keys().listKeys({ project: "paged", pageSize: 2, pageToken });
      seen.push(...page.keys.map(({ id }) => id));
      pageToken = page.nextPageToken;
      if (pageToken === "") break;
    }
    expect(seen).toHaveLength(5);
    expect(new Set(seen).size).toBe(5);
    expect(await codeOf(keys().listKeys({ pageToken: "junk" }))).toBe("InvalidArgument");
  });

  test("that are imported work in their own shape", async () => {
    const foreign = `nk-${"0123456789abcdef".repeat(3)}`;
    const { keys: made, created } = await keys().importKeys({
      keys: [{ credential: { case: "secret", value: foreign }, key: { id: "old-team", name: "old" } }],
    });
    secrets.push(foreign);
    expect([made[0]?.id, created]).toEqual(["old-team", 1]);
    expect((await chat(foreign)).status).toBe(200);
    expect((await fetch(`${gateway.app.dataUrl}/v1/models`, { headers: { "x-api-key": foreign } })).status).toBe(200);
  });
});

describe("tenants", () => {
  test("an admin of one sees and touches only its own keys", async () => {
    const mine = await make({ name: "mine" });
    const theirs = await make({ name: "theirs" }, otherTenant);
    const other = gateway.admin(KeyService, await gateway.keyOf(AccessRole.ADMIN, otherTenant));
    expect((await other.listKeys({})).keys.every(({ tenant }) => tenant === otherTenant)).toBe(true);
    expect((await other.getKey({ id: theirs.id })).key?.name).toBe("theirs");
    for (const attempt of [
      other.getKey({ id: mine.id }),
      other.revokeKey({ id: mine.id }),
      other.rotateKey({ id: mine.id }),
      other.updateKey({ key: { id: mine.id, name: "x" }, updateMask: { paths: ["name"] } }),
    ]) {
      expect(await codeOf(attempt)).toBe("NotFound");
    }
    expect((await chat(mine.secret)).status).toBe(200);
    const tenants = gateway.admin(TenantService, await gateway.keyOf(AccessRole.ADMIN, otherTenant));
    expect((await tenants.listTenants({})).tenants.map(({ id }) => id)).toEqual([otherTenant]);
    expect(await codeOf(tenants.createTenant({ tenant: { id: "mine-too" } }))).toBe("PermissionDenied");
  });

  test("a disabled one has no keys that work", async () => {
    const tenants = gateway.admin(TenantService, gateway.root);
    await tenants.createTenant({ tenant: { id: "brief" } });
    const { secret } = await make({}, "brief");
    expect((await chat(secret)).status).toBe(200);
    await tenants.updateTenant({ tenant: { id: "brief", enabled: false }, updateMask: { paths: ["enabled"] } });
    expect((await chat(secret)).status).toBe(401);
    expect(await codeOf(tenants.updateTenant({ tenant: { id: "default", enabled: false }, updateMask: { paths: ["enabled"] } }))).toBe(
      "InvalidArgument",
    );
    expect(await codeOf(make({}, "nobody"))).toBe("NotFound");
  });
});

describe("the audit log", () => {
  test("has every change and every refused try, and holds", async () => {
    const audit = gateway.admin(AuditService, await gateway.keyOf(AccessRole.AUDITOR));
    const { id } = await make({ name: "noted" });
    const viewer = await gateway.keyOf(AccessRole.VIEWER);
    await codeOf(gateway.admin(KeyService, viewer).revokeKey({ id }));
    const { entries } = await audit.listAuditEntries({ action: "keys." });
    expect(entries.find(({ subjectId }) => subjectId === id)).toMatchObject({
      action: "keys.create",
      outcome: AuditOutcome.SUCCESS,
      actor: "firstadmin00",
    });
    expect(entries.some(({ action, outcome }) => action === "keys.revoke" && outcome === AuditOutcome.REFUSED)).toBe(true);
    const check = await audit.verifyAuditLog({});
    expect(check.brokenAt).toBeUndefined();
    expect(check.entries).toBeGreaterThan(5n);
  });
});

test("buf curl lists the admin services and calls them with a key", async () => {
  const buf = join(import.meta.dirname, "../../../node_modules/.bin/buf");
  const curl = (...words: string[]) => promisify(execFile)(buf, ["curl", "--http2-prior-knowledge", "--protocol", "grpc", ...words]);
  const listed = await curl("--list-services", gateway.app.adminUrl);
  expect(listed.stdout).toContain("dragoman.admin.v1.KeyService");
  const header = ["-H", `authorization: Bearer ${gateway.root}`];
  const answer = await curl(...header, "-d", "{}", `${gateway.app.adminUrl}/dragoman.admin.v1.TenantService/GetTenant`);
  expect(JSON.parse(answer.stdout)).toMatchObject({ tenant: { id: "default" } });
}, 30_000);

test("no secret of a key stands in any log line, file, list or error", async () => {
  await vi.waitFor(() => expect(secrets.length).toBeGreaterThan(10));
  const wrong = await chat(`${secrets[0]}0`);
  const list = JSON.stringify(await keys().listKeys({ pageSize: 1_000 }), (_, value) =>
    typeof value === "bigint" ? String(value) : value,
  );
  const files = readdirSync(gateway.directory, { recursive: true, encoding: "utf8" })
    .map((name) => join(gateway.directory, name))
    .filter((name) => statSync(name).isFile())
    .map((name) => readFileSync(name, "latin1"));
  for (const secret of [...secrets, gateway.root]) {
    // The part that nobody else may know, and what it begins with.
    const hidden = secret.startsWith("dgm_") ? (secret.split("_")[3] ?? "") : secret;
    for (const text of [...gateway.lines, ...files, list, wrong.text]) {
      expect(text.includes(hidden)).toBe(false);
      expect(text.includes(hidden.slice(0, 12))).toBe(false);
      expect(text.includes(Buffer.from(hidden).toString("base64").slice(0, 16))).toBe(false);
    }
  }
});

test("keys that the command line makes and revokes are seen by a gateway that runs", async () => {
  const dragoman = async (...words: string[]) => {
    let out = "";
    const terminal = { write: (text: string) => void (out += text), writeError() {}, color: false, env: {}, cwd: gateway.directory };
    expect(await run([...words, "--config", join(gateway.directory, "dragoman.json")], terminal)).toBe(0);
    return out.trim();
  };
  const secret = await dragoman("keys", "create", "--name", "outside");
  expect((await chat(secret)).status).toBe(200);
  await dragoman("keys", "revoke", secret.split("_").slice(0, 3).join("_"));
  await vi.waitFor(async () => expect((await chat(secret)).status).toBe(401), { timeout: 5_000, interval: 50 });
}, 15_000);
