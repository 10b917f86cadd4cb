/** Every procedure and every HTTP endpoint, asked by everybody: what the contract declares is what happens (reliability.md X2). */
import { readFileSync } from "node:fs";
import { createFileRegistry, type DescMethod, type DescService, fromBinary } from "@bufbuild/protobuf";
import { FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { AccessRole } from "../../../gen/dragoman/v1/auth_pb.ts";
import { ruleOf } from "../../../src/facade/endpoint.ts";
import { createEndpoints } from "../../../src/facade/endpoints.ts";
import { readAuthRule } from "../../../src/rpc/auth-rule.ts";
import { type AdminGateway, otherTenant, startAdminGateway } from "./admin-gateway.ts";
import { endpointRules, openPaths, procedureRules, requestsForTenant, withoutTenant } from "./declared-rules.ts";

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

interface Rule {
  readonly scope: string;
  readonly role: keyof typeof names;
  readonly auditor: boolean;
  readonly beyondApps?: boolean;
}

function isAllowed(role: (typeof roles)[number], rule: Rule): boolean {
  const high = role === AccessRole.AUDITOR ? rule.auditor : ladder.indexOf(role) >= ladder.indexOf(names[rule.role]);
  return high && scopesOf[role].includes(rule.scope);
}

function readRule(line: string | undefined): Rule {
  const [scope = "", role = "", ...words] = (line ?? "").split(" ");
  if (!Object.hasOwn(names, role)) throw new Error(`"${line}" is no rule; write one into declared-rules.ts`);
  return { scope, role: role as keyof typeof names, auditor: words.includes("auditor"), beyondApps: !words.includes("app") };
}

function writeRule({ scope, role, auditor, beyondApps = false }: Rule): string {
  return [scope, role, ...(auditor ? ["auditor"] : []), ...(beyondApps ? [] : ["app"])].join(" ");
}

/** The code of the refusal, or "in" where the caller got in: what is wrong with an empty request is then told, or it is done. */
async function ask(url: string, service: DescService, method: DescMethod, key: string | undefined, body: object = {}): Promise<string> {
  const client = (url === gateway.app.adminUrl ? gateway.admin(service, key) : gateway.data(service, key)) as Record<string, unknown>;
  const call = client[method.localName] as (body: object, options: object) => Promise<unknown> | AsyncIterable<unknown>;
  try {
    // What watches has nothing to say for as long as nothing happens; a refusal is there before that, on a slow machine too.
    const answer = call(body, { timeoutMs: method.methodKind === "server_streaming" ? 2_000 : 20_000 });
    if (Symbol.asyncIterator in answer) for await (const _ of answer as AsyncIterable<unknown>) break;
    else await answer;
    return "in";
  } catch (error) {
    const { code } = ConnectError.from(error);
    return code === Code.Unauthenticated || code === Code.PermissionDenied ? Code[code] : code === Code.NotFound ? "not found" : "in";
  }
}

/** All that the contract has, whoever wrote them. */
const services = [...createFileRegistry(fromBinary(FileDescriptorSetSchema, readFileSync(descriptors)))].filter(
  (entry): entry is DescService => entry.kind === "service" && entry.typeName.startsWith("dragoman."),
);
const methods = services.flatMap((service) => service.methods.map((method) => ({ service, method })));
const isOfAdmin = ({ service }: { service: DescService }) => service.typeName.startsWith("dragoman.admin.");
const adminMethods = methods.filter(isOfAdmin);
const dataMethods = methods.filter((entry) => !isOfAdmin(entry));
const label = ({ service, method }: { service: DescService; method: DescMethod }) => `${service.name}.${method.name}`;
const ruleAt = ({ service, method }: { service: DescService; method: DescMethod }) =>
  readRule(procedureRules[`${service.typeName}.${method.name}`]);

describe("X2: what is written down", () => {
  test("is every procedure, with the rule of the contract", () => {
    const declared = methods.map((entry) => [
      `${entry.service.typeName}.${entry.method.name}`,
      writeRule(readAuthRule(entry.method, isOfAdmin(entry) ? "admin" : "data")),
    ]);
    expect(Object.fromEntries(declared)).toEqual(procedureRules);
  });

  test("is every endpoint, with its rule", () => {
    const declared = createEndpoints().map((endpoint) => [`${endpoint.method} ${endpoint.path}`, writeRule(ruleOf(endpoint))]);
    expect(Object.fromEntries(declared)).toEqual(endpointRules);
  });

  test("is a request for another tenant for every admin procedure", () => {
    expect([...Object.keys(requestsForTenant), ...withoutTenant].toSorted()).toEqual(adminMethods.map(label).toSorted());
  });
});

describe("X2: the admin port", () => {
  test.each(adminMethods.map((entry) => [label(entry), entry] as const))("%s", async (_, { service, method }) => {
    const rule = ruleAt({ service, method });
    const url = gateway.app.adminUrl;
    expect(await ask(url, service, method, undefined)).toBe("Unauthenticated");
    expect(await ask(url, service, method, `${gateway.root}x`)).toBe("Unauthenticated");
    const asked = roles.map(async (role) => {
      const found = await ask(url, service, method, await gateway.keyOf(role));
      expect(found === "PermissionDenied" ? "no" : "yes", `role ${role}`).toBe(isAllowed(role, rule) ? "yes" : "no");
    });
    const bound = ask(url, service, method, await gateway.keyOfApp("shop")).then((found) => {
      expect(found === "PermissionDenied" ? "no" : "yes", "an admin's key that is bound to an app").toBe(rule.beyondApps ? "no" : "yes");
    });
    await Promise.all([...asked, bound]);
  });

  test.each(Object.entries(requestsForTenant))("%s: another tenant does not exist for an admin of one", async (at, write) => {
    const entry = adminMethods.find((each) => label(each) === at);
    if (entry === undefined) throw new Error(`${at} has gone`);
    const key = await gateway.keyOf(AccessRole.ADMIN, otherTenant);
    for (const tenant of ["default", "nobody"]) {
      expect(await ask(gateway.app.adminUrl, entry.service, entry.method, key, write(tenant)), tenant).toBe("not found");
    }
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

describe("X2: the data port", () => {
  test.each(dataMethods.map((entry) => [label(entry), entry] as const))("%s", async (_, { service, method }) => {
    const rule = ruleAt({ service, method });
    expect(await ask(gateway.app.dataUrl, service, method, undefined)).toBe("Unauthenticated");
    for (const role of roles) {
      const found = await ask(gateway.app.dataUrl, service, method, await gateway.keyOf(role, otherTenant));
      expect(found === "PermissionDenied" ? "no" : "yes", `role ${role}`).toBe(isAllowed(role, rule) ? "yes" : "no");
    }
  });

  test.each(createEndpoints().map((endpoint) => [`${endpoint.method} ${endpoint.path}`, endpoint] as const))("%s", async (_, endpoint) => {
    const path = endpoint.path.replaceAll(/\{\w+\+?\}/g, "x");
    const reads = endpoint.method === "GET";
    const rule = readRule(endpointRules[`${endpoint.method} ${endpoint.path}`]);
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

describe("what stands outside the services", () => {
  test.each(["data", "admin"] as const)("is readable by anyone who reaches the %s port, and nothing else is", async (port) => {
    const base = port === "data" ? gateway.app.dataUrl : gateway.app.adminUrl;
    const known = [...new Set(Object.values(openPaths).flat())];
    const other = [
      "/",
      "/v1",
      "/admin",
      "/debug",
      "/debug/pprof",
      "/config",
      "/env",
      "/.env",
      "/v1/keys",
      "/api/keys",
      "/metrics/",
      "//metrics",
    ];
    for (const path of [...known, ...other]) {
      const { status } = await fetch(base + path);
      if (openPaths[port].includes(path)) expect(status, path).toBe(200);
      else expect([401, 404, 405], path).toContain(status);
    }
  });
});
