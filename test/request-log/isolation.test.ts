/** Whose records anybody sees: a tenant its own, an app its own, by the role that the contract asks for. */
import { Code, ConnectError } from "@connectrpc/connect";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { AgentService } from "../../gen/dragoman/admin/v1/agent_service_pb.ts";
import { KeyService } from "../../gen/dragoman/admin/v1/key_service_pb.ts";
import { RequestLogService } from "../../gen/dragoman/admin/v1/request_log_service_pb.ts";
import { UsageService } from "../../gen/dragoman/admin/v1/usage_service_pb.ts";
import { AccessRole } from "../../gen/dragoman/v1/auth_pb.ts";
import { type AdminGateway, otherTenant, startAdminGateway } from "../rpc/admin/admin-gateway.ts";

let gateway: AdminGateway;
let apps: { readonly shop: string; readonly desk: string };

beforeAll(async () => {
  gateway = await startAdminGateway({ request_log: { queue: { flush_ms: 10 } } });
  const keyOfApp = async (app: string) =>
    (await gateway.admin(KeyService, gateway.root).createKey({ key: { name: app, app, roles: [AccessRole.MEMBER] } })).secret;
  apps = { shop: await keyOfApp("shop"), desk: await keyOfApp("desk") };
  await ask(await gateway.keyOf(AccessRole.MEMBER), "of-default");
  await ask(await gateway.keyOf(AccessRole.MEMBER, otherTenant), "of-other");
  await ask(apps.shop, "of-shop");
  await ask(apps.desk, "of-desk");
  await vi.waitFor(async () => expect(await features(gateway.root)).toHaveLength(3));
}, 30_000);
afterAll(() => gateway?.close());

async function ask(key: string, feature: string, model = "sim/echo"): Promise<number> {
  const { status } = await fetch(`${gateway.app.dataUrl}/v1/chat/completions`, {
    method: "POST",
    headers: {
      "content-type": "application/json",
      authorization: `Bearer ${key}`,
      "x-dragoman-feature": feature,
      "x-dragoman-session-id": "the-session",
      "x-dragoman-agent": "the-agent",
    },
    body: JSON.stringify({ model, messages: [{ role: "user", content: "hello" }] }),
  });
  return status;
}

const log = (key: string) => gateway.admin(RequestLogService, key);

async function features(key: string, request: object = {}): Promise<string[]> {
  const { requests } = await log(key).listRequests(request);
  return requests.map(({ feature }) => feature).toSorted();
}

describe("tenants", () => {
  test("see their own records, sessions and agents", async () => {
    const viewer = await gateway.keyOf(AccessRole.VIEWER, otherTenant);
    expect(await features(viewer)).toEqual(["of-other"]);
    expect((await log(viewer).getSession({ id: "the-session" })).session?.requests).toBe(1n);
    expect((await gateway.admin(AgentService, viewer).getAgentMetrics({ id: "the-agent" })).requests).toBe(1n);
    expect(await features(await gateway.keyOf(AccessRole.VIEWER))).toEqual(["of-default", "of-desk", "of-shop"]);
  });

  test("do not see a record of another by its id", async () => {
    const [record] = (await log(gateway.root).listRequests({ filter: {} })).requests;
    const requestId = record?.requestId ?? "";
    expect((await log(gateway.root).getRequest({ requestId })).request?.tenant).toBe("default");
    const viewer = log(await gateway.keyOf(AccessRole.VIEWER, otherTenant));
    await expect(viewer.getRequest({ requestId })).rejects.toMatchObject({ code: Code.NotFound });
    await expect(viewer.getRequest({ requestId, tenant: "default" })).rejects.toMatchObject({ code: Code.NotFound });
  });

  test("do not exist for each other, and all do for who runs the gateway", async () => {
    const admin = await gateway.keyOf(AccessRole.ADMIN, otherTenant);
    await expect(features(admin, { tenant: "default" })).rejects.toMatchObject({ code: Code.NotFound });
    await expect(gateway.admin(UsageService, admin).sumUsage({ query: { tenant: "default" } })).rejects.toMatchObject({
      code: Code.NotFound,
    });
    await expect(gateway.admin(AgentService, admin).listAgents({ tenant: "default" })).rejects.toMatchObject({ code: Code.NotFound });
    expect(await features(gateway.root, { tenant: otherTenant })).toEqual(["of-other"]);
  });

  test("watch their own calls", async () => {
    const stop = new AbortController();
    const seen: string[] = [];
    const key = await gateway.keyOf(AccessRole.VIEWER, otherTenant);
    const watching = (async () => {
      for await (const { request } of log(key).watchRequests({}, { signal: stop.signal })) seen.push(request?.feature ?? "");
    })().catch(() => {});
    const [mine, theirs] = [await gateway.keyOf(AccessRole.MEMBER, otherTenant), await gateway.keyOf(AccessRole.MEMBER)];
    await vi.waitFor(
      async () => {
        await ask(theirs, "watched-theirs");
        await ask(mine, "watched-mine");
        expect(seen).toContain("watched-mine");
      },
      { timeout: 10_000, interval: 100 },
    );
    stop.abort();
    await watching;
    expect(new Set(seen)).toEqual(new Set(["watched-mine"]));
  });
});

describe("a key that is bound to an app", () => {
  test("sees the calls of that app", async () => {
    expect(await features(apps.shop)).toEqual(["of-shop"]);
    expect(await features(apps.shop, { filter: { policyKey: "shop" } })).toEqual(["of-shop"]);
    await expect(features(apps.shop, { filter: { policyKey: "desk" } })).rejects.toMatchObject({ code: Code.PermissionDenied });
  });

  test("does not see a call of another by its id", async () => {
    const [record] = (await log(apps.desk).listRequests({ filter: { policyKey: "desk" } })).requests;
    const requestId = record?.requestId ?? "";
    expect((await log(apps.desk).getRequest({ requestId })).request).toMatchObject({ policyKey: "desk", subjectType: "app" });
    await expect(log(apps.shop).getRequest({ requestId })).rejects.toMatchObject({ code: Code.NotFound });
  });

  test("is refused what looks over all apps", async () => {
    const refused = { code: Code.PermissionDenied };
    await expect(log(apps.shop).listSessions({})).rejects.toMatchObject(refused);
    await expect(log(apps.shop).getSession({ id: "the-session" })).rejects.toMatchObject(refused);
    await expect(gateway.admin(UsageService, apps.shop).sumUsage({})).rejects.toMatchObject(refused);
    await expect(gateway.admin(AgentService, apps.shop).listAgents({})).rejects.toMatchObject(refused);
  });
});

describe("roles", () => {
  const reads = [AccessRole.VIEWER, AccessRole.MEMBER, AccessRole.OPERATOR, AccessRole.ADMIN, AccessRole.AUDITOR];

  test.each(reads)("AccessRole %i", async (role) => {
    const key = await gateway.keyOf(role);
    expect((await log(key).listRequests({})).requests.length).toBeGreaterThan(0);
    const made = gateway
      .admin(AgentService, key)
      .createAgent({ agent: { key: `made-by-${role}` } })
      .then(
        () => "made",
        (error: unknown) => ConnectError.from(error).code,
      );
    expect(await made).toBe(role === AccessRole.ADMIN || role === AccessRole.OPERATOR ? "made" : Code.PermissionDenied);
  });

  test("a call that its key may not make stands in the log", async () => {
    expect(await ask(await gateway.keyOf(AccessRole.VIEWER), "of-a-viewer")).toBe(403);
    await vi.waitFor(async () => {
      const { requests } = await log(gateway.root).listRequests({ filter: { errorCode: "forbidden" } });
      expect(requests).toMatchObject([{ feature: "of-a-viewer", httpStatus: 403, surface: "v1", requestKind: "chat" }]);
    });
  });

  test("nobody's calls stand in no log", async () => {
    expect(await ask("dgm_live_nobody", "of-nobody")).toBe(401);
    expect(await features(gateway.root, { filter: { errorCode: "unauthenticated" } })).toEqual([]);
  });
});

test("a queue that is full changes no answer", async () => {
  const full = await startAdminGateway({ auth: { enabled: false }, request_log: { queue: { max_records: 1, flush_ms: 60_000 } } });
  try {
    const answers = await Promise.all(
      Array.from({ length: 20 }, async () => {
        const response = await fetch(`${full.app.dataUrl}/v1/chat/completions`, {
          method: "POST",
          headers: { "content-type": "application/json" },
          body: JSON.stringify({ model: "sim/echo", messages: [{ role: "user", content: "hello" }] }),
        });
        const { choices } = (await response.json()) as { choices: { message: { content: string } }[] };
        return [response.status, choices[0]?.message.content];
      }),
    );
    expect(new Set(answers.map(String))).toEqual(new Set([String([200, "hello"])]));
    const metrics = await (await fetch(`${full.app.adminUrl}/metrics`)).text();
    expect(metrics).toMatch(/^dragoman_capture_dropped_total(?:\{[^}]*\})? 19$/m);
  } finally {
    await full.close();
  }
});
