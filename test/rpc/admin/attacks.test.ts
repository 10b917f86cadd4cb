/** What somebody with a key, or a web page without one, could try against the admin port and the data port. */
import { create, toBinary } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { CreateKeyRequestSchema, KeyService } from "../../../gen/dragoman/admin/v1/key_service_pb.ts";
import { LimitService, LimitSubject } from "../../../gen/dragoman/admin/v1/limit_service_pb.ts";
import { PriceService } from "../../../gen/dragoman/admin/v1/price_service_pb.ts";
import { RequestLogService } from "../../../gen/dragoman/admin/v1/request_log_service_pb.ts";
import { UsageService } from "../../../gen/dragoman/admin/v1/usage_service_pb.ts";
import { AccessRole } from "../../../gen/dragoman/v1/auth_pb.ts";
import { type AdminGateway, otherTenant, startAdminGateway } from "./admin-gateway.ts";

let gateway: AdminGateway;
beforeAll(async () => {
  gateway = await startAdminGateway();
}, 30_000);
afterAll(() => gateway.close());

const keys = (secret = gateway.root) => gateway.admin(KeyService, secret);

async function codeOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
    return "ok";
  } catch (error) {
    return Code[ConnectError.from(error).code] ?? "";
  }
}

describe("a key cannot be used to get more than it has", () => {
  test("one that is bound to an app makes, changes and rotates keys of that app alone", async () => {
    const bound = await keys().createKey({ key: { roles: [AccessRole.ADMIN], app: "shop" } });
    const free = await keys().createKey({ key: { name: "free" } });
    const own = await keys(bound.secret).createKey({ key: { app: "shop" } });
    const id = own.key?.id ?? "";
    expect(await codeOf(keys(bound.secret).createKey({ key: {} }))).toBe("PermissionDenied");
    expect(await codeOf(keys(bound.secret).createKey({ key: { app: "other" } }))).toBe("PermissionDenied");
    expect(await codeOf(keys(bound.secret).updateKey({ key: { id, app: "" }, updateMask: { paths: ["app"] } }))).toBe("PermissionDenied");
    expect(await codeOf(keys(bound.secret).rotateKey({ id: free.key?.id ?? "" }))).toBe("PermissionDenied");
    expect(await codeOf(keys(bound.secret).rotateKey({ id }))).toBe("ok");
    const sha256 = { case: "sha256", value: "ab".repeat(32) } as const;
    expect(await codeOf(keys(bound.secret).importKeys({ keys: [{ credential: sha256, key: {} }] }))).toBe("PermissionDenied");
  });

  test("one that is held to models does not end keys that are not, nor changes itself", async () => {
    const held = await keys().createKey({ key: { roles: [AccessRole.ADMIN], models: ["sim/echo"] } });
    const id = held.key?.id ?? "";
    expect(await codeOf(keys(held.secret).updateKey({ key: { id, models: [] }, updateMask: { paths: ["models"] } }))).toBe(
      "PermissionDenied",
    );
    expect(await codeOf(keys(held.secret).createKey({ key: { models: ["sim/*"] } }))).toBe("PermissionDenied");
    expect(await codeOf(keys(held.secret).revokeKey({ id: "firstadmin00" }))).toBe("PermissionDenied");
    expect(await codeOf(keys(held.secret).createKey({ key: { models: ["sim/echo"] } }))).toBe("ok");
  });

  test("reading all tenants is not changing them: an auditor who is an operator too", async () => {
    const { secret } = await keys().createKey({ key: { roles: [AccessRole.OPERATOR, AccessRole.AUDITOR] } });
    const limits = gateway.admin(LimitService, secret);
    const limit = { subject: LimitSubject.TENANT, requestsPerMinute: 1n };
    expect(await codeOf(limits.listLimits({ tenant: otherTenant }))).toBe("ok");
    expect(await codeOf(limits.createLimit({ tenant: otherTenant, limit }))).toBe("NotFound");
    expect(await codeOf(limits.resetLimitUsage({ tenant: otherTenant, limitId: "x" }))).toBe("NotFound");
  });
});

describe("numbers and times from far away", () => {
  const times = [253_402_300_800n, 2n ** 62n, -(2n ** 62n), -62_135_596_801n];

  test.each(times)("an expiry of %d seconds is refused, and lists can still be read", async (seconds) => {
    const body = toBinary(CreateKeyRequestSchema, create(CreateKeyRequestSchema, { key: { expireTime: { seconds, nanos: 0 } } }));
    const response = await fetch(`${gateway.app.adminUrl}/dragoman.admin.v1.KeyService/CreateKey`, {
      method: "POST",
      headers: { "content-type": "application/proto", authorization: `Bearer ${gateway.root}` },
      body,
    });
    expect(response.status).toBe(400);
    const list = await fetch(`${gateway.app.adminUrl}/dragoman.admin.v1.KeyService/ListKeys`, {
      method: "POST",
      headers: { "content-type": "application/json", authorization: `Bearer ${gateway.root}` },
      body: JSON.stringify({ pageSize: 1000 }),
    });
    expect(list.status).toBe(200);
  });

  test.each(times)("filters by %d seconds are answered or refused, never failed", async (seconds) => {
    const at = { seconds, nanos: 0 };
    const tiers = [{ rates: { input: "1" } }];
    for (const promise of [
      gateway.admin(UsageService, gateway.root).sumUsage({ query: { fromTime: at, bucket: { seconds: 60n, nanos: 0 } } }),
      gateway.admin(RequestLogService, gateway.root).listRequests({ filter: { fromTime: at, untilTime: at } }),
      gateway.admin(PriceService, gateway.root).listEffectivePrices({ at }),
      gateway.admin(PriceService, gateway.root).createPrice({ price: { provider: "x", model: "y", tiers, effectiveFrom: at } }),
      keys().rotateKey({ id: "firstadmin00", expireTime: at }),
    ]) {
      expect(["ok", "InvalidArgument"]).toContain(await codeOf(promise));
    }
  });
});

test("a watch ends soon after the key that opened it", async () => {
  const { secret, key } = await keys().createKey({ key: { roles: [AccessRole.VIEWER] } });
  const watch = gateway.admin(UsageService, secret).watchUsage({ query: {}, interval: { seconds: 1n, nanos: 0 } }, { timeoutMs: 15_000 });
  const messages = watch[Symbol.asyncIterator]();
  expect((await messages.next()).done).toBe(false);
  await keys().revokeKey({ id: key?.id ?? "" });
  expect(await codeOf(messages.next())).toBe("Unauthenticated");
}, 20_000);

test("without auth, a web page whose name was pointed at this machine gets nothing", async () => {
  const open = await startAdminGateway({ auth: { enabled: false } });
  try {
    const { request } = await import("node:http");
    const statusOf = (method: string, path: string, host: string) =>
      new Promise<number>((resolve, reject) => {
        const { hostname, port } = new URL(open.app.dataUrl);
        const headers = { host, "content-type": "application/json" };
        const sent = request({ hostname, port, method, path, headers }, (response) => {
          response.resume();
          resolve(response.statusCode ?? 0);
        });
        sent.on("error", reject);
        sent.end(method === "POST" ? JSON.stringify({ model: "sim/echo", messages: [{ role: "user", content: "hi" }] }) : undefined);
      });
    for (const host of ["localhost:8080", "127.0.0.1", "[::1]:9"]) expect(await statusOf("GET", "/v1/models", host), host).toBe(200);
    for (const host of ["evil.example", "127.0.0.1.evil.example:80", "localhost.evil.example"]) {
      expect(await statusOf("GET", "/v1/models", host), host).toBe(401);
      expect(await statusOf("POST", "/v1/chat/completions", host), host).toBe(401);
      expect(await statusOf("POST", "/dragoman.v1.InferenceService/ListModels", host), host).toBe(401);
    }
  } finally {
    await open.close();
  }
}, 20_000);
