/** Nobody locks everybody out by mistake: what an admin may not do to the key, project and tenant that they call with. */
import { Code, ConnectError } from "@connectrpc/connect";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { KeyService } from "../../../gen/dragoman/admin/v1/key_service_pb.ts";
import { TenantService } from "../../../gen/dragoman/admin/v1/tenant_service_pb.ts";
import { AccessRole } from "../../../gen/dragoman/v1/auth_pb.ts";
import { type AdminGateway, otherTenant, startAdminGateway } from "./admin-gateway.ts";

let gateway: AdminGateway;
beforeEach(async () => {
  gateway = await startAdminGateway();
}, 30_000);
afterEach(() => gateway.close());

const firstKey = "firstadmin00";
const keys = (secret = gateway.root) => gateway.admin(KeyService, secret);
const tenants = (secret = gateway.root) => gateway.admin(TenantService, secret);

async function outcomeOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
    return "ok";
  } catch (error) {
    const { code, rawMessage } = ConnectError.from(error);
    return `${Code[code]}: ${rawMessage}`;
  }
}

describe("the last key of an admin", () => {
  const changes: Record<string, () => Promise<unknown>> = {
    "is not revoked": () => keys().revokeKey({ id: firstKey }),
    "is not disabled": () => keys().updateKey({ key: { id: firstKey, enabled: false }, updateMask: { paths: ["enabled"] } }),
    "keeps its role": () => keys().updateKey({ key: { id: firstKey, roles: [AccessRole.VIEWER] }, updateMask: { paths: ["roles"] } }),
    "keeps its scopes": () => keys().updateKey({ key: { id: firstKey, scopes: ["chat"] }, updateMask: { paths: ["scopes"] } }),
    "is not held to endpoints": () =>
      keys().updateKey({ key: { id: firstKey, endpoints: ["GET /v1/models"] }, updateMask: { paths: ["endpoints"] } }),
    "is not bound to an app": () => keys().updateKey({ key: { id: firstKey, app: "shop" }, updateMask: { paths: ["app"] } }),
  };

  test.each(Object.keys(changes))("%s by its holder, until there is another", async (name) => {
    const change = changes[name] ?? (() => Promise.reject(new Error(name)));
    // None of these would let anybody in who could mend it.
    await keys().createKey({ key: { roles: [AccessRole.OPERATOR] } });
    await keys().createKey({ key: { roles: [AccessRole.ADMIN], endpoints: ["GET /v1/models"] } });
    await keys().createKey({ tenant: otherTenant, key: { roles: [AccessRole.ADMIN] } });
    const revoked = await keys().createKey({ key: { roles: [AccessRole.ADMIN] } });
    await keys().revokeKey({ id: revoked.key?.id ?? "" });
    expect(await outcomeOf(change())).toMatch(/^InvalidArgument: .*last key that administers/);
    expect(await outcomeOf(keys().getKey({ id: firstKey }))).toBe("ok");
    await keys().createKey({ key: { roles: [AccessRole.ADMIN] } });
    expect(await outcomeOf(change())).toBe("ok");
  });

  test("may be rotated, as the new one takes its place", async () => {
    const { secret } = await keys().rotateKey({ id: firstKey, overlap: { seconds: 0n, nanos: 0 } });
    expect(await outcomeOf(keys().listKeys({}))).toMatch(/^Unauthenticated/);
    expect(await outcomeOf(keys(secret).listKeys({}))).toBe("ok");
  });

  test("is revoked by another admin, who is in", async () => {
    const { secret } = await keys().createKey({ key: { roles: [AccessRole.ADMIN] } });
    expect(await outcomeOf(keys(secret).revokeKey({ id: firstKey }))).toBe("ok");
    expect(await outcomeOf(keys(secret).listKeys({}))).toBe("ok");
  });

  test("does not count where its project is disabled", async () => {
    await tenants().createProject({ project: { id: "closed" } });
    await keys().createKey({ key: { roles: [AccessRole.ADMIN], project: "closed" } });
    await tenants().updateProject({ project: { id: "closed", enabled: false }, updateMask: { paths: ["enabled"] } });
    expect(await outcomeOf(keys().revokeKey({ id: firstKey }))).toMatch(/last key that administers/);
  });
});

test("nobody disables their own project; whoever is of another one does", async () => {
  await tenants().createProject({ project: { id: "default" } });
  const close = { project: { id: "default", enabled: false }, updateMask: { paths: ["enabled"] } };
  expect(await outcomeOf(tenants().updateProject(close))).toMatch(/^InvalidArgument: .*own project/);
  expect(await outcomeOf(keys().listKeys({}))).toBe("ok");
  const { secret } = await keys().createKey({ key: { roles: [AccessRole.ADMIN], project: "operations" } });
  expect(await outcomeOf(tenants(secret).updateProject(close))).toBe("ok");
  expect(await outcomeOf(keys().listKeys({}))).toMatch(/^Unauthenticated/);
});

test("nobody disables their own tenant; the gateway's admins do", async () => {
  const admin = await gateway.keyOf(AccessRole.ADMIN, otherTenant);
  const close = (id: string) => ({ tenant: { id, enabled: false }, updateMask: { paths: ["enabled"] } });
  expect(await outcomeOf(tenants(admin).updateTenant(close(otherTenant)))).toMatch(/^InvalidArgument/);
  expect(await outcomeOf(tenants().updateTenant(close("default")))).toMatch(/^InvalidArgument/);
  expect(await outcomeOf(tenants().updateTenant(close(otherTenant)))).toBe("ok");
  expect(await outcomeOf(keys(admin).listKeys({}))).toMatch(/^Unauthenticated/);
});
