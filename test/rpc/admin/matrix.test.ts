/** Every procedure and every HTTP endpoint, asked by everybody: what the contract declares is what happens (reliability.md X2). */
import { readFileSync } from "node:fs";
import { createFileRegistry, type DescMethod, type DescService, fromBinary } from "@bufbuild/protobuf";
import { FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { AccessRole } from "../../../gen/dragoman/v1/auth_pb.ts";
import { InferenceService } from "../../../gen/dragoman/v1/inference_service_pb.ts";
import { createEndpoints } from "../../../src/facade/endpoints.ts";
import { readAuthRule } from "../../../src/rpc/auth-rule.ts";
import { type AdminGateway, otherTenant, startAdminGateway } from "./admin-gateway.ts";

const descriptors = new URL("../../../gen/dragoman.binpb", import.meta.url);
const roles = [AccessRole.VIEWER, AccessRole.MEMBER, AccessRole.OPERATOR, AccessRole.ADMIN, AccessRole.AUDITOR] as const;
const ladder = [AccessRole.VIEWER, AccessRole.MEMBER, AccessRole.OPERATOR, AccessRole.ADMIN];
const names = { viewer: AccessRole.VIEWER, member: AccessRole.MEMBER, operator: AccessRole.OPERATOR, admin: AccessRole.ADMIN };
/** Written down a second time, by what people expect; the code that is tested derives it from the same descriptors. */
const scopesOf: Record<(typeof roles)[number], readonly string[]> = {
  [AccessRole.VIEWER]: ["models", "requests.read", "policy.read"],
  [AccessRole.MEMBER]: ["models", "requests.read", "policy.read", "chat", "embed"],
  [AccessRole.OPERATOR]: ["models", "requests.read", "policy.read", "chat", "embed", "policy.write", "admin.read"],
  [AccessRole.ADMIN]: ["models", "requests.read", "policy.read", "chat", "embed", "policy.write", "admin.read", "admin"],
  [AccessRole.AUDITOR]: ["models", "requests.read", "policy.read", "admin.read"],
};

let gateway: AdminGateway;

beforeAll(async () => {
  gateway = await startAdminGateway();
}, 30_000);
afterAll(() => gateway.close());

function isAllowed(role: (typeof roles)[number], rule: { scope: string; role: keyof typeof names; auditor: boolean }): boolean {
  const high = role === AccessRole.AUDITOR ? rule.auditor : ladder.indexOf(role) >= ladder.indexOf(names[rule.role]);
  return high && scopesOf[role].includes(rule.scope);
}

/** The code of the refusal, or "in" where the caller got in: what is wrong with an empty request is then told, or it is done. */
async function ask(url: string, service: DescService, method: DescMethod, key: string | undefined, body: object = {}): Promise<string> {
  const client = (url === gateway.app.adminUrl ? gateway.admin(service, key) : gateway.data(service, key)) as Record<string, unknown>;
  const call = client[method.localName] as (body: object, options: object) => Promise<unknown> | AsyncIterable<unknown>;
  try {
    // What watches has nothing to say for as long as nothing happens.
    const answer = call(body, { timeoutMs: 500 });
    if (Symbol.asyncIterator in answer) for await (const _ of answer as AsyncIterable<unknown>) break;
    else await answer;
    return "in";
  } catch (error) {
    const { code } = ConnectError.from(error);
    return code === Code.Unauthenticated || code === Code.PermissionDenied ? Code[code] : code === Code.NotFound ? "not found" : "in";
  }
}

/** All that the contract has, whoever wrote them. */
const adminServices = [...createFileRegistry(fromBinary(FileDescriptorSetSchema, readFileSync(descriptors)))].filter(
  (entry): entry is DescService => entry.kind === "service" && entry.typeName.startsWith("dragoman.admin.v1."),
);
/** Those whose requests the isolation test below can write; the others have tests of their own. */
const ownServices = ["KeyService", "TenantService", "AuditService"];
const adminMethods = adminServices.flatMap((service) => service.methods.map((method) => ({ service, method })));
const dataMethods = InferenceService.methods.map((method) => ({ service: InferenceService, method }));
const label = ({ service, method }: { service: DescService; method: DescMethod }) => `${service.name}.${method.name}`;

describe("the admin port", () => {
  test.each(adminMethods.map((entry) => [label(entry), entry] as const))("%s", async (_, { service, method }) => {
    const rule = readAuthRule(method, "admin");
    const url = gateway.app.adminUrl;
    expect(await ask(url, service, method, undefined)).toBe("Unauthenticated");
    expect(await ask(url, service, method, `${gateway.root}x`)).toBe("Unauthenticated");
    for (const role of roles) {
      const found = await ask(url, service, method, await gateway.keyOf(role));
      expect(found === "PermissionDenied" ? "no" : "yes", `role ${role}`).toBe(isAllowed(role, rule) ? "yes" : "no");
    }
  });

  test.each(
    adminMethods
      .filter(({ service, method }) => ownServices.includes(service.name) && method.input.fields.some(({ name }) => name === "tenant"))
      .map((entry) => [label(entry), entry] as const),
  )("%s: another tenant does not exist for an admin of one", async (_, { service, method }) => {
    const { message } = method.input.fields.find(({ name }) => name === "tenant") ?? {};
    if (message !== undefined) return; // CreateTenant and UpdateTenant hold the tenant itself.
    const body = {
      tenant: "default",
      id: "firstadmin00",
      key: { id: "firstadmin00" },
      project: { id: "default" },
      updateMask: { paths: ["name"] },
    };
    const keys = { keys: [{ credential: { case: "sha256", value: "0".repeat(64) } }] };
    const key = await gateway.keyOf(AccessRole.ADMIN, otherTenant);
    expect(await ask(gateway.app.adminUrl, service, method, key, { ...body, ...keys })).toBe("not found");
    expect(await ask(gateway.app.adminUrl, service, method, key, { ...body, ...keys, tenant: "nobody" })).toBe("not found");
  });

  test("nothing of it is reachable through the data port", async () => {
    for (const { service, method } of adminMethods) {
      const url = `${gateway.app.dataUrl}/${service.typeName}/${method.name}`;
      const headers = { "content-type": "application/json", authorization: `Bearer ${gateway.root}` };
      expect((await fetch(url, { method: "POST", headers, body: "{}" })).status, url).toBe(404);
    }
  });

  test("no inference through the admin port", async () => {
    const url = `${gateway.app.adminUrl}/dragoman.v1.InferenceService/ListModels`;
    const headers = { "content-type": "application/json", authorization: `Bearer ${gateway.root}` };
    expect((await fetch(url, { method: "POST", headers, body: "{}" })).status).toBe(404);
  });
});

describe("the data port", () => {
  test.each(dataMethods.map((entry) => [label(entry), entry] as const))("%s", async (_, { service, method }) => {
    const rule = readAuthRule(method, "data");
    expect(await ask(gateway.app.dataUrl, service, method, undefined)).toBe("Unauthenticated");
    for (const role of roles) {
      const found = await ask(gateway.app.dataUrl, service, method, await gateway.keyOf(role, otherTenant));
      expect(found === "PermissionDenied" ? "no" : "yes", `role ${role}`).toBe(isAllowed(role, rule) ? "yes" : "no");
    }
  });

  test.each(createEndpoints().map((endpoint) => [`${endpoint.method} ${endpoint.path}`, endpoint] as const))("%s", async (_, endpoint) => {
    const path = endpoint.path.replaceAll(/\{\w+\+?\}/g, "x");
    const reads = endpoint.method === "GET";
    const rule = { scope: endpoint.scope, role: reads ? "viewer" : "member", auditor: reads } as const;
    const statusOf = async (key: string | undefined) => {
      const headers = { "content-type": "application/json", ...(key === undefined ? {} : { authorization: `Bearer ${key}` }) };
      return (await fetch(gateway.app.dataUrl + path, { method: endpoint.method, headers, ...(reads ? {} : { body: "{}" }) })).status;
    };
    expect(await statusOf(undefined)).toBe(401);
    for (const role of roles) {
      const status = await statusOf(await gateway.keyOf(role));
      expect(status === 403 ? "no" : "yes", `role ${role}`).toBe(isAllowed(role, rule) ? "yes" : "no");
      expect(status).not.toBe(401);
    }
  });
});
