/** ISO-1: whatever is stored of another tenant answers like what is not there, word for word, on HTTP and RPC. */
import { Code, ConnectError } from "@connectrpc/connect";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { AgentService } from "../../../gen/dragoman/admin/v1/agent_service_pb.ts";
import { KeyService } from "../../../gen/dragoman/admin/v1/key_service_pb.ts";
import { LimitService, LimitSubject } from "../../../gen/dragoman/admin/v1/limit_service_pb.ts";
import { PriceService } from "../../../gen/dragoman/admin/v1/price_service_pb.ts";
import { RequestLogService } from "../../../gen/dragoman/admin/v1/request_log_service_pb.ts";
import { TenantService } from "../../../gen/dragoman/admin/v1/tenant_service_pb.ts";
import { AccessRole } from "../../../gen/dragoman/v1/auth_pb.ts";
import { type AdminGateway, otherTenant, startAdminGateway } from "./admin-gateway.ts";

let gateway: AdminGateway;
/** Ids of what the tenant `default` has. */
const ids: Record<string, string> = {};
/** The other tenant's admin and member. */
let admin: string;
let member: string;

const missing = "notthere0000";
const tiers = [{ rates: { input: "1" } }];

async function post(path: string, key: string, body: object, headers: object = {}) {
  const response = await fetch(gateway.app.dataUrl + path, {
    method: "POST",
    headers: { authorization: `Bearer ${key}`, "content-type": "application/json", ...headers },
    body: JSON.stringify(body),
  });
  return { response, body: (await response.json()) as { id?: string } };
}

beforeAll(async () => {
  gateway = await startAdminGateway();
  const { root } = gateway;
  admin = await gateway.keyOf(AccessRole.ADMIN, otherTenant);
  member = await gateway.keyOf(AccessRole.MEMBER, otherTenant);
  ids.key = (await gateway.admin(KeyService, root).createKey({ key: { name: "theirs" } })).key?.id ?? "";
  const limit = { subject: LimitSubject.TENANT, concurrency: 100n };
  ids.limit = (await gateway.admin(LimitService, root).createLimit({ limit })).limit?.id ?? "";
  ids.price =
    (await gateway.admin(PriceService, root).createPrice({ tenant: "default", price: { provider: "sim", model: "*", tiers } })).price?.id ??
    "";
  ids.agent = (await gateway.admin(AgentService, root).createAgent({ agent: { key: "their-agent" } })).agent?.id ?? "";
  ids.project = (await gateway.admin(TenantService, root).createProject({ project: { id: "theirs" } })).project?.id ?? "";
  const stored = await post("/v1/responses", root, { model: "sim/echo", input: "hi" }, { "x-dragoman-session-id": "their-session" });
  ids.response = stored.body.id ?? "";
  ids.session = "their-session";
  await vi.waitFor(async () => {
    const { requests } = await gateway.admin(RequestLogService, root).listRequests({});
    ids.request = requests[0]?.requestId ?? "";
    expect(ids.request).not.toBe("");
  });
}, 30_000);
afterAll(() => gateway.close());

async function answerOf(promise: Promise<unknown>, id: string): Promise<string> {
  try {
    await promise;
    return "ok";
  } catch (error) {
    const { code, rawMessage } = ConnectError.from(error);
    return `${Code[code]}: ${rawMessage.replaceAll(id, "ID")}`;
  }
}

const nameOnly = { paths: ["name"] };
const keys = () => gateway.admin(KeyService, admin);
const limits = () => gateway.admin(LimitService, admin);
const prices = () => gateway.admin(PriceService, admin);
const agents = () => gateway.admin(AgentService, admin);
const projects = () => gateway.admin(TenantService, admin);
const log = () => gateway.admin(RequestLogService, admin);

const procedures: readonly (readonly [what: string, kind: string, ask: (id: string) => Promise<unknown>])[] = [
  ["GetKey", "key", (id) => keys().getKey({ id })],
  ["UpdateKey", "key", (id) => keys().updateKey({ key: { id, name: "taken" }, updateMask: nameOnly })],
  ["RotateKey", "key", (id) => keys().rotateKey({ id })],
  ["RevokeKey", "key", (id) => keys().revokeKey({ id })],
  ["GetLimit", "limit", (id) => limits().getLimit({ id })],
  [
    "UpdateLimit",
    "limit",
    (id) => limits().updateLimit({ limit: { id, subject: LimitSubject.TENANT, concurrency: 1n }, updateMask: { paths: ["concurrency"] } }),
  ],
  ["DeleteLimit", "limit", (id) => limits().deleteLimit({ id })],
  ["ResetLimitUsage", "limit", (id) => limits().resetLimitUsage({ limitId: id })],
  ["GetPrice", "price", (id) => prices().getPrice({ tenant: otherTenant, id })],
  [
    "UpdatePrice",
    "price",
    (id) =>
      prices().updatePrice({ tenant: otherTenant, price: { id, provider: "x", model: "*", tiers }, updateMask: { paths: ["provider"] } }),
  ],
  ["DeletePrice", "price", (id) => prices().deletePrice({ tenant: otherTenant, id })],
  ["GetAgent", "agent", (id) => agents().getAgent({ id })],
  ["GetAgentMetrics", "agent", (id) => agents().getAgentMetrics({ id })],
  ["UpdateAgent", "agent", (id) => agents().updateAgent({ agent: { id, model: "x" }, updateMask: { paths: ["model"] } })],
  ["DeleteAgent", "agent", (id) => agents().deleteAgent({ id })],
  ["GetProject", "project", (id) => projects().getProject({ id })],
  ["UpdateProject", "project", (id) => projects().updateProject({ project: { id, name: "taken" }, updateMask: nameOnly })],
  ["GetRequest", "request", (requestId) => log().getRequest({ requestId })],
  ["GetSession", "session", (id) => log().getSession({ id })],
];

describe("on RPC", () => {
  test.each(procedures)("%s", async (name, kind, ask) => {
    const id = ids[kind] ?? "";
    expect(id).not.toBe("");
    const theirs = await answerOf(ask(id), id);
    // Prices are set by whoever runs the gateway alone.
    // Counters are found by their tenant: to reset what is not there resets nothing.
    const expected = /^(Update|Delete)Price$/.test(name) ? /^PermissionDenied: / : name === "ResetLimitUsage" ? /^ok$/ : /^NotFound: /;
    expect(theirs).toMatch(expected);
    expect(theirs).toBe(await answerOf(ask(missing), missing));
  });

  test("and all of it is as it was", async () => {
    const { root } = gateway;
    expect((await gateway.admin(KeyService, root).getKey({ id: ids.key ?? "" })).key).toMatchObject({ name: "theirs", enabled: true });
    expect((await gateway.admin(LimitService, root).getLimit({ id: ids.limit ?? "" })).limit).toMatchObject({ concurrency: 100n });
    expect((await gateway.admin(PriceService, root).getPrice({ tenant: "default", id: ids.price ?? "" })).price).toMatchObject({
      provider: "sim",
    });
    expect((await gateway.admin(AgentService, root).getAgent({ id: ids.agent ?? "" })).agent).toMatchObject({ key: "their-agent" });
    expect((await gateway.admin(TenantService, root).getProject({ id: "theirs" })).project).toMatchObject({ name: "" });
  });
});

describe("on HTTP", () => {
  const asks: [method: string, path: (id: string) => string, body: object | undefined][] = [
    ["GET", (id) => `/v1/responses/${id}`, undefined],
    ["GET", (id) => `/v1/responses/${id}/input_items`, undefined],
    ["POST", (id) => `/v1/responses/${id}/cancel`, {}],
    ["DELETE", (id) => `/v1/responses/${id}`, undefined],
  ];

  async function answer(method: string, path: string, body: object | undefined, key: string, id: string) {
    const response = await fetch(gateway.app.dataUrl + path, {
      method,
      headers: { authorization: `Bearer ${key}`, "content-type": "application/json" },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    return { status: response.status, text: (await response.text()).replaceAll(id, "ID") };
  }

  test.each(asks)("%s %s", async (method, path, body) => {
    const id = ids.response ?? "";
    const madeUp = `${id.slice(0, -6)}ZZZZZZ`;
    // Another caller of the same tenant is as much a stranger to it.
    for (const key of [member, admin, await gateway.keyOf(AccessRole.MEMBER)]) {
      const theirs = await answer(method, path(id), body, key, id);
      expect(theirs.status).toBe(404);
      expect(theirs).toEqual(await answer(method, path(madeUp), body, key, madeUp));
    }
    expect((await answer("GET", `/v1/responses/${id}`, undefined, gateway.root, id)).status).toBe(200);
  });

  test("POST /v1/responses that goes on from it", async () => {
    const id = ids.response ?? "";
    const ask = (previous: string) => post("/v1/responses", member, { model: "sim/echo", input: "x", previous_response_id: previous });
    const [theirs, none] = [await ask(id), await ask(`${id.slice(0, -6)}ZZZZZZ`)];
    expect(theirs.response.status).toBe(none.response.status);
    expect(theirs.response.status).toBeGreaterThanOrEqual(400);
    expect(JSON.stringify(theirs.body).replaceAll(id, "ID")).toBe(JSON.stringify(none.body).replaceAll(`${id.slice(0, -6)}ZZZZZZ`, "ID"));
  });

  test("an idempotency key is another one in another tenant, and for another key", async () => {
    const ask = (key: string, word: string) =>
      post("/v1/chat/completions", key, { model: "sim/echo", messages: [{ role: "user", content: word }] }, { "idempotency-key": "same" });
    const words = ["amber", "cobalt", "jade"];
    const callers = [gateway.root, member, await gateway.keyOf(AccessRole.MEMBER)];
    for (const [index, key] of callers.entries()) {
      const { response, body } = await ask(key, words[index] ?? "");
      expect(response.status).toBe(200);
      expect(response.headers.get("idempotent-replayed")).toBeNull();
      expect(JSON.stringify(body)).toContain(words[index]);
    }
  });
});
