/** The audit log: who did or tried what, when, from where, and what it changed; never a secret. */
import { Code, ConnectError } from "@connectrpc/connect";
import { afterAll, beforeAll, expect, test } from "vitest";
import { AgentService } from "../../../gen/dragoman/admin/v1/agent_service_pb.ts";
import { AuditOutcome, AuditService } from "../../../gen/dragoman/admin/v1/audit_service_pb.ts";
import { KeyService } from "../../../gen/dragoman/admin/v1/key_service_pb.ts";
import { LimitService, LimitSubject } from "../../../gen/dragoman/admin/v1/limit_service_pb.ts";
import { PriceService } from "../../../gen/dragoman/admin/v1/price_service_pb.ts";
import { TenantService } from "../../../gen/dragoman/admin/v1/tenant_service_pb.ts";
import { AccessRole } from "../../../gen/dragoman/v1/auth_pb.ts";
import { type AdminGateway, startAdminGateway } from "./admin-gateway.ts";

let gateway: AdminGateway;
beforeAll(async () => {
  gateway = await startAdminGateway();
}, 30_000);
afterAll(() => gateway.close());

/** The newest entry of an action. */
async function newest(action: string, tenant = "") {
  const { entries } = await gateway.admin(AuditService, gateway.root).listAuditEntries({ tenant, action, pageSize: 1 });
  const [entry] = entries;
  if (entry === undefined) throw new Error(`${action} left no entry`);
  return { ...entry, details: JSON.parse(entry.detailsJson) as Record<string, unknown> };
}

async function refused(promise: Promise<unknown>): Promise<string> {
  return promise.then(
    () => "ok",
    (error: unknown) => Code[ConnectError.from(error).code] ?? "",
  );
}

test("a change says what was and what is, of the fields that changed", async () => {
  const keys = gateway.admin(KeyService, gateway.root);
  const { key, secret } = await keys.createKey({ key: { name: "ci", scopes: ["chat"] } });
  const id = key?.id ?? "";
  expect(await newest("keys.create")).toMatchObject({
    actor: "firstadmin00",
    subjectId: id,
    details: { after: { name: "ci", scopes: ["chat"], enabled: true }, address: "127.0.0.1", actor_tenant: "default" },
  });
  await keys.updateKey({ key: { id, name: "build", scopes: [] }, updateMask: { paths: ["name", "scopes"] } });
  const { details } = await newest("keys.update");
  expect(details).toMatchObject({ fields: ["name", "scopes"], before: { name: "ci", scopes: ["chat"] }, after: { name: "build" } });
  expect(Object.keys(details.after as object)).toEqual(["name"]);
  const { entries } = await gateway.admin(AuditService, gateway.root).listAuditEntries({});
  expect(JSON.stringify(entries.map(({ detailsJson }) => detailsJson))).not.toContain(secret.slice(-50, -10));
});

test("so does every other service, deletions too", async () => {
  const { root } = gateway;
  const limits = gateway.admin(LimitService, root);
  const { limit } = await limits.createLimit({ limit: { subject: LimitSubject.TENANT, concurrency: 7n } });
  await limits.updateLimit({
    limit: { id: limit?.id ?? "", subject: LimitSubject.TENANT, concurrency: 9n },
    updateMask: { paths: ["concurrency"] },
  });
  expect((await newest("limits.update")).details).toMatchObject({ before: { concurrency: "7" }, after: { concurrency: "9" } });
  await limits.deleteLimit({ id: limit?.id ?? "" });
  expect((await newest("limits.delete")).details).toMatchObject({ before: { concurrency: "9" } });

  const prices = gateway.admin(PriceService, root);
  const { price } = await prices.createPrice({ price: { provider: "x", model: "y", tiers: [{ rates: { input: "1" } }] } });
  await prices.updatePrice({ price: { id: price?.id ?? "", provider: "x", model: "z" }, updateMask: { paths: ["model"] } });
  expect((await newest("prices.update")).details).toMatchObject({ before: { model: "y" }, after: { model: "z" } });
  await prices.deletePrice({ id: price?.id ?? "" });
  expect((await newest("prices.delete")).details).toMatchObject({ before: { provider: "x", model: "z" } });

  const agents = gateway.admin(AgentService, root);
  const { agent } = await agents.createAgent({ agent: { key: "shop-bot" } });
  await agents.updateAgent({ agent: { id: agent?.id ?? "", model: "big" }, updateMask: { paths: ["model"] } });
  expect((await newest("agents.update")).details).toMatchObject({ after: { model: "big" } });

  const tenants = gateway.admin(TenantService, root);
  await tenants.createProject({ project: { id: "north" } });
  const hidden = '{"a":"not-for-the-log"}';
  const paths = ["name", "enabled", "settings_json"];
  await tenants.updateProject({ project: { id: "north", name: "North", enabled: false, settingsJson: hidden }, updateMask: { paths } });
  const project = await newest("tenants.update_project");
  expect(project.details).toMatchObject({ before: { enabled: true }, after: { name: "North", settings_json: "(not shown)" } });
  expect(project.detailsJson).not.toContain("not-for-the-log");
});

test("a list too long for the log is told by its name", async () => {
  const models = Array.from({ length: 900 }, (_, index) => `provider/model-${index}`);
  await gateway.admin(KeyService, gateway.root).createKey({ key: { models } });
  expect((await newest("keys.create")).details).toMatchObject({ after: { models: "(too long)" } });
});

test("refusals stand in it with who tried what, and why not", async () => {
  const viewer = await gateway.keyOf(AccessRole.VIEWER);
  expect(await refused(gateway.admin(KeyService, viewer).createKey({ key: { name: "mine" } }))).toBe("PermissionDenied");
  expect(await newest("keys.create")).toMatchObject({ outcome: AuditOutcome.REFUSED, details: { reason: "forbidden" } });
  expect(await refused(gateway.admin(LimitService, await gateway.keyOfApp("shop")).deleteLimit({ id: "x" }))).toBe("PermissionDenied");
  expect(await newest("limits.delete")).toMatchObject({ outcome: AuditOutcome.REFUSED, details: { reason: "app_mismatch" } });
  expect(await refused(gateway.admin(KeyService, gateway.root).revokeKey({ id: "firstadmin00", etag: "9-9" }))).not.toBe("ok");
  expect(await newest("keys.revoke")).toMatchObject({ outcome: AuditOutcome.REFUSED, subjectId: "firstadmin00" });
  const { brokenAt, entries } = await gateway.admin(AuditService, gateway.root).verifyAuditLog({});
  expect(brokenAt).toBeUndefined();
  expect(entries).toBeGreaterThan(10n);
});
