/** What the two tenants of the isolation run do: every surface, and every service of the admin port. */
import { type Role, remember, roles, type Tenant, type ThingKind } from "./isolation-tenant.ts";
import type { Random } from "./random.ts";

export interface Asking {
  readonly method?: "GET" | "POST" | "DELETE";
  /** `admin`: a procedure's path without its package. */
  readonly port: "data" | "admin";
  readonly path: string;
  readonly body?: object | string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly role: Role;
  /** Statuses of which one must come; absent: any. */
  readonly expected?: readonly number[];
  /** What the tenant learns of its own from a good answer. */
  readonly learn?: (answer: unknown, headers: Headers) => void;
}

export interface Scene {
  readonly me: Tenant;
  readonly other: Tenant;
  readonly random: Random;
  /** Of this operation. */
  readonly number: number;
}

/** Undefined: there is nothing yet to do it with. */
export type Operation = (scene: Scene) => Asking | undefined;

type Callable = (scene: Scene, role?: Role) => Asking;

type Json = Record<string, unknown>;

const chatProviders = ["chat", "claude", "gem"];

/** Facts that name the caller's words in every place that has room for them; some names are the same for both. */
function factsOf({ me, random }: Scene): Record<string, string> {
  const shared = random.chance(0.5);
  const session = shared ? `shared-session-${random.below(5)}` : `${me.marker}-session-${random.below(50)}`;
  const agent = shared ? `shared.agent${random.below(3)}` : `${me.marker}.agent${random.below(5)}`;
  remember(me, "session", session);
  remember(me, "agent", agent);
  return {
    "x-dragoman-session-id": session,
    "x-dragoman-agent": agent,
    "x-dragoman-user-id": shared ? "shared-user" : `${me.marker}-user-${random.below(10)}`,
    "x-dragoman-external-request-id": `${me.marker}-external`,
    "x-dragoman-feature": `${me.marker}-feature`,
    "x-request-id": random.chance(0.5) ? "the-same-request-id" : `${me.marker}-request`,
    ...(random.chance(0.5) ? { "x-dragoman-retention": random.pick(["none", "metadata", "full"]) } : {}),
  };
}

function words({ me, number }: Scene): string {
  return `tell ${me.marker} about ${me.marker}-secret-${number}`;
}

type Learn = (me: Tenant, answer: Json, role: Role) => void;

function calls(path: string | ((scene: Scene) => string), body: (scene: Scene) => object, learn?: Learn): Callable {
  return (scene, role = scene.random.pick(["MEMBER", "OPERATOR", "ADMIN"])) => ({
    port: "data",
    path: typeof path === "string" ? path : path(scene),
    body: body(scene),
    headers: factsOf(scene),
    role,
    learn: (answer, headers) => {
      remember(scene.me, "request", headers.get("x-dragoman-request-id"));
      if (typeof answer === "object" && answer !== null) learn?.(scene.me, answer as Json, role);
    },
  });
}

const model = ({ random }: Scene) => `${random.pick(chatProviders)}/sim-echo`;
const messages = (scene: Scene) => [{ role: "user", content: words(scene) }];
const parts = (scene: Scene) => ({ contents: [{ role: "user", parts: [{ text: words(scene) }] }] });
const keep: Learn = (me, { id }, role) => {
  if (typeof id !== "string") return;
  remember(me, "response", id);
  me.stored.set(id, role);
};
const rpcMessages = (scene: Scene) => [{ role: "ROLE_USER", parts: [{ text: words(scene) }] }];

const surfaces: Readonly<Record<string, Operation>> = {
  chat: calls("/v1/chat/completions", (scene) => ({
    model: model(scene),
    messages: messages(scene),
    user: `${scene.me.marker}-user`,
    metadata: { [scene.me.marker]: scene.me.marker },
    stream: scene.random.chance(0.5),
  })),
  completions: calls("/v1/completions", (scene) => ({ model: model(scene), prompt: words(scene), stream: scene.random.chance(0.5) })),
  messages: calls("/v1/messages", (scene) => ({
    model: model(scene),
    max_tokens: 100,
    messages: messages(scene),
    metadata: { user_id: `${scene.me.marker}-user` },
    stream: scene.random.chance(0.5),
  })),
  gemini: calls((scene) => `/v1beta/models/${model(scene)}:generateContent`, parts),
  geminiStream: calls((scene) => `/v1beta/models/${model(scene)}:streamGenerateContent?alt=sse`, parts),
  embeddings: calls("/v1/embeddings", (scene) => ({ model: "gem/sim-embed", input: words(scene) })),
  geminiEmbed: calls("/v1beta/models/gem/sim-embed:embedContent", (scene) => ({ content: { parts: [{ text: words(scene) }] } })),
  countTokens: calls("/v1/messages/count_tokens", (scene) => ({ model: "claude/sim-echo", messages: messages(scene) })),
  rpcComplete: calls("/dragoman.v1.InferenceService/Complete", (scene) => ({
    generate: { model: model(scene), messages: rpcMessages(scene) },
  })),
  rpcEmbed: calls("/dragoman.v1.InferenceService/Embed", (scene) => ({ model: "gem/sim-embed", inputs: [{ text: words(scene) }] })),
  wrongModel: calls("/v1/chat/completions", (scene) => ({
    model: `chat/sim-status-${scene.random.pick([400, 429, 500])}`,
    messages: messages(scene),
  })),
  unknownModel: calls("/v1/chat/completions", (scene) => ({ model: `${scene.me.marker}-model`, messages: messages(scene) })),
  wrongBody: calls("/v1/chat/completions", (scene) => ({ model: model(scene), messages: `${scene.me.marker} is no list` })),
  models: ({ random }) => ({ method: "GET", port: "data", path: random.pick(["/v1/models", "/v1beta/models"]), role: random.pick(roles) }),
  /** The same key, another tenant: were it shared, the answer would be the other's, or a refusal. */
  idempotent: (scene) => {
    const { me, random } = scene;
    const key = random.below(8);
    return {
      port: "data",
      path: "/v1/chat/completions",
      body: { model: "chat/sim-echo", messages: [{ role: "user", content: `idempotent ${key} of ${me.marker}` }] },
      headers: { ...factsOf(scene), "idempotency-key": `the-same-key-${key}` },
      role: "MEMBER",
      expected: [200, 409],
    };
  },
};

const responses: Readonly<Record<string, Operation>> = {
  respond: calls("/v1/responses", (scene) => ({ model: model(scene), input: words(scene), metadata: { who: scene.me.marker } }), keep),
  respondStream: calls("/v1/responses", (scene) => ({ model: model(scene), input: words(scene), stream: true })),
  continue: (scene) => {
    const [id, role] = scene.random.pickFrom([...scene.me.stored].slice(-50)) ?? [];
    if (id === undefined) return undefined;
    const body = { model: "chat/sim-echo", input: words(scene), previous_response_id: id };
    return { ...calls("/v1/responses", () => body, keep)(scene, role), expected: [200, 400, 404] };
  },
  retrieve: (scene) => ofResponse(scene, "GET", ""),
  inputItems: (scene) => ofResponse(scene, "GET", "/input_items"),
  cancel: (scene) => ofResponse(scene, "POST", "/cancel"),
  delete: (scene) => {
    const asking = ofResponse(scene, "DELETE", "");
    if (asking === undefined || scene.random.chance(0.7)) return undefined;
    scene.me.stored.delete(asking.path.slice("/v1/responses/".length));
    return asking;
  },
};

function ofResponse({ me, random }: Scene, method: "GET" | "POST" | "DELETE", rest: string): Asking | undefined {
  const [id, role] = random.pickFrom([...me.stored].slice(-50)) ?? [];
  if (id === undefined || role === undefined) return undefined;
  return { method, port: "data", path: `/v1/responses/${id}${rest}`, role, ...(method === "POST" ? { body: {} } : {}) };
}

/** What is the other's: it must not be there, whoever asks, and what was asked for must stay as it is. */
const trespasses: Readonly<Record<string, Operation>> = {
  otherResponse: ({ other, random }) => {
    const id = random.pickFrom(other.things.response);
    if (id === undefined) return undefined;
    const [method, rest] = random.pick([
      ["GET", ""] as const,
      ["DELETE", ""] as const,
      ["POST", "/cancel"] as const,
      ["GET", "/input_items"] as const,
    ]);
    const body = method === "POST" ? { body: {} } : {};
    return { method, port: "data", path: `/v1/responses/${id}${rest}`, role: "MEMBER", expected: [404], ...body };
  },
  otherContinue: (scene) => {
    const id = scene.random.pickFrom(scene.other.things.response);
    if (id === undefined) return undefined;
    const body = { model: "claude/sim-echo", input: words(scene), previous_response_id: id };
    return { port: "data", path: "/v1/responses", body, role: "MEMBER", expected: [400, 404] };
  },
  otherTenant: (scene) => {
    const { procedure, body } = scene.random.pick(tenantProcedures)(scene);
    return admin(scene, procedure, { ...body, tenant: scene.other.marker }, { role: "ADMIN", expected: [400, 403, 404] });
  },
  otherThing: (scene) => {
    const { random, other } = scene;
    const [kind, procedure, write] = random.pick(ownedThings);
    const id = random.pickFrom(other.things[kind]);
    // A session or an agent may have the same name in both; what is answered must be the asker's own.
    if (id === undefined) return undefined;
    const shared = id.startsWith("shared");
    return admin(scene, procedure, write(id), { role: "ADMIN", ...(shared ? {} : { expected: [400, 403, 404] }) });
  },
  otherPage: (scene) => {
    const { random, other } = scene;
    const [kind, procedure] = random.pick(pages);
    const pageToken = random.pickFrom(other.things[kind]);
    return pageToken === undefined ? undefined : admin(scene, procedure, { pageSize: 5, pageToken }, { role: "ADMIN" });
  },
};

const ownedThings: readonly (readonly [ThingKind, string, (id: string) => object])[] = [
  ["request", "RequestLogService/GetRequest", (requestId) => ({ requestId })],
  ["session", "RequestLogService/GetSession", (id) => ({ id })],
  ["agent", "AgentService/GetAgent", (id) => ({ id })],
  ["agent", "AgentService/GetAgentMetrics", (id) => ({ id })],
  ["key", "KeyService/GetKey", (id) => ({ id })],
  ["key", "KeyService/RevokeKey", (id) => ({ id })],
  ["key", "KeyService/RotateKey", (id) => ({ id })],
  ["key", "KeyService/UpdateKey", (id) => ({ key: { id, name: "taken" }, updateMask: "name" })],
  ["limit", "LimitService/GetLimit", (id) => ({ id })],
  ["limit", "LimitService/DeleteLimit", (id) => ({ id })],
  [
    "limit",
    "LimitService/UpdateLimit",
    (id) => ({ limit: { id, subject: "LIMIT_SUBJECT_TENANT", concurrency: "1" }, updateMask: "concurrency" }),
  ],
  ["project", "TenantService/GetProject", (id) => ({ id })],
  ["project", "TenantService/UpdateProject", (id) => ({ project: { id, name: "taken" }, updateMask: "name" })],
];

const pages: readonly (readonly [ThingKind, string, string])[] = [
  ["keyPage", "KeyService/ListKeys", "keys"],
  ["requestPage", "RequestLogService/ListRequests", "requests"],
  ["auditPage", "AuditService/ListAuditEntries", "entries"],
  ["limitPage", "LimitService/ListLimits", "limits"],
  ["agentPage", "AgentService/ListAgents", "agents"],
  ["sessionPage", "RequestLogService/ListSessions", "sessions"],
];

type Procedure = (scene: Scene) => { readonly procedure: string; readonly body: Json };

const everyDimension = ["PROJECT", "KEY", "END_USER", "MODEL", "UPSTREAM_MODEL", "PROVIDER", "SURFACE"].map(
  (name) => `USAGE_DIMENSION_${name}`,
);
const tiers = [{ rates: { input: "1", output: "2" } }];

/** Those that take the name of a tenant. */
const tenantProcedures: readonly Procedure[] = [
  () => ({ procedure: "KeyService/ListKeys", body: {} }),
  () => ({ procedure: "KeyService/CreateKey", body: { key: { name: "smuggled" } } }),
  () => ({ procedure: "KeyService/ImportKeys", body: { keys: [{ secret: "smuggled-key-0123456789" }] } }),
  () => ({ procedure: "TenantService/ListProjects", body: {} }),
  () => ({ procedure: "TenantService/CreateProject", body: { project: { id: "smuggled" } } }),
  () => ({ procedure: "LimitService/ListLimits", body: {} }),
  () => ({ procedure: "LimitService/CreateLimit", body: { limit: { subject: "LIMIT_SUBJECT_TENANT", concurrency: "1" } } }),
  () => ({ procedure: "LimitService/GetLimitUsage", body: {} }),
  () => ({ procedure: "LimitService/ResetLimitUsage", body: { limitId: "x" } }),
  () => ({ procedure: "PriceService/ListPrices", body: {} }),
  () => ({ procedure: "PriceService/ListEffectivePrices", body: {} }),
  () => ({ procedure: "PriceService/CreatePrice", body: { price: { provider: "chat", model: "*", tiers } } }),
  () => ({ procedure: "RequestLogService/ListRequests", body: {} }),
  () => ({ procedure: "RequestLogService/ListSessions", body: {} }),
  ({ other, random }) => ({ procedure: "RequestLogService/GetRequest", body: { requestId: random.pickFrom(other.things.request) ?? "x" } }),
  () => ({ procedure: "AgentService/ListAgents", body: {} }),
  () => ({ procedure: "AgentService/CreateAgent", body: { agent: { key: "smuggled" } } }),
  () => ({ procedure: "AuditService/ListAuditEntries", body: {} }),
  () => ({ procedure: "AuditService/VerifyAuditLog", body: {} }),
];

function admin({ random }: Scene, procedure: string, body: object, more: Partial<Asking> = {}): Asking {
  return { port: "admin", path: procedure, body, role: random.pick(roles), ...more };
}

const administration: Readonly<Record<string, Operation>> = {
  list: (scene) => {
    const [kind, procedure] = scene.random.pick(pages);
    const pageToken = scene.random.chance(0.5) ? (scene.random.pickFrom(scene.me.things[kind]) ?? "") : "";
    const learn = (answer: unknown) => remember(scene.me, kind, (answer as Json).nextPageToken);
    return admin(scene, procedure, { pageSize: scene.random.pick([1, 5, 200]), pageToken }, { learn });
  },
  getOwn: (scene) => {
    const [kind, procedure, write] = scene.random.pick(ownedThings.filter(([, name]) => name.includes("/Get")));
    const id = scene.random.pickFrom(scene.me.things[kind]);
    return id === undefined ? undefined : admin(scene, procedure, write(id));
  },
  searchRequests: (scene) => {
    const { me, random } = scene;
    const filter = random.pick([
      { sessionId: `shared-session-${random.below(5)}` },
      { callerAgent: "shared.agent1" },
      { endUserId: "shared-user" },
      { model: random.pick(["sim", "%", "_", me.marker]) },
      { externalRequestId: `${me.marker}-external` },
      { statuses: ["REQUEST_STATUS_ERROR"] },
    ]);
    return admin(scene, "RequestLogService/ListRequests", { filter, pageSize: 20 });
  },
  usage: (scene) => admin(scene, "UsageService/SumUsage", { query: { groupBy: everyDimension } }),
  otherUsage: (scene) =>
    admin(scene, "UsageService/SumUsage", { query: { tenant: scene.other.marker } }, { role: "ADMIN", expected: [404] }),
  createKey: (scene) =>
    scene.random.chance(0.7)
      ? undefined
      : admin(
          scene,
          "KeyService/CreateKey",
          { key: { name: `${scene.me.marker} ${scene.number}`, models: [`${scene.me.marker}/*`] } },
          { learn: (answer) => remember(scene.me, "key", ((answer as Json).key as Json).id) },
        ),
  searchKeys: (scene) => admin(scene, "KeyService/ListKeys", { search: scene.random.pick(["%", "_", "e", "smuggled"]), pageSize: 50 }),
  createLimit: (scene) =>
    scene.random.chance(0.7)
      ? undefined
      : admin(
          scene,
          "LimitService/CreateLimit",
          {
            limit: {
              subject: "LIMIT_SUBJECT_END_USER",
              subjectId: scene.random.pick(["shared-user", `${scene.me.marker}-user-1`]),
              requestsPerMinute: "100000",
            },
          },
          { learn: (answer) => remember(scene.me, "limit", ((answer as Json).limit as Json).id) },
        ),
  limitUsage: (scene) => admin(scene, "LimitService/GetLimitUsage", { call: { endUser: "shared-user" } }),
  createProject: (scene) =>
    scene.random.chance(0.8)
      ? undefined
      : admin(
          scene,
          "TenantService/CreateProject",
          { project: { id: `${scene.me.marker}-${scene.number}`, name: scene.me.marker } },
          { learn: (answer) => remember(scene.me, "project", ((answer as Json).project as Json).id) },
        ),
  tenant: (scene) =>
    admin(scene, scene.random.pick(["TenantService/GetTenant", "TenantService/ListTenants", "TenantService/ListProjects"]), {}),
  updateTenant: (scene) =>
    admin(scene, "TenantService/UpdateTenant", {
      tenant: { id: scene.me.marker, settingsJson: JSON.stringify({ note: scene.me.marker }) },
      updateMask: "settingsJson",
    }),
  otherUpdateTenant: (scene) =>
    admin(
      scene,
      scene.random.pick(["TenantService/UpdateTenant", "TenantService/GetTenant"]),
      { id: scene.other.marker, tenant: { id: scene.other.marker, name: "taken" }, updateMask: "name" },
      { role: "ADMIN", expected: [400, 404] },
    ),
  prices: (scene) => admin(scene, scene.random.pick(["PriceService/ListPrices", "PriceService/ListEffectivePrices"]), { pageSize: 20 }),
  audit: (scene) => admin(scene, "AuditService/VerifyAuditLog", {}),
};

export const operations: readonly (readonly [string, Operation])[] = Object.entries({
  ...surfaces,
  ...responses,
  ...trespasses,
  ...administration,
});
