/**
 * Who may call what, written down a second time by hand: a new procedure or endpoint needs a line here, and whoever widens a
 * rule widens it twice. A line is the scope, the least role, `auditor` where auditors may too, and `app` where a key that is
 * bound to an app may, within its app.
 */

const agents = {
  CreateAgent: "policy.write operator",
  GetAgent: "requests.read viewer auditor",
  ListAgents: "requests.read viewer auditor",
  UpdateAgent: "policy.write operator",
  DeleteAgent: "policy.write operator",
  GetAgentMetrics: "requests.read viewer auditor",
};
const audit = { ListAuditEntries: "admin.read admin auditor", VerifyAuditLog: "admin.read admin auditor" };
const keys = {
  CreateKey: "admin admin app",
  GetKey: "admin.read operator auditor app",
  ListKeys: "admin.read operator auditor app",
  UpdateKey: "admin admin app",
  RotateKey: "admin admin app",
  RevokeKey: "admin admin app",
  ImportKeys: "admin admin app",
};
const limits = {
  CreateLimit: "policy.write operator",
  GetLimit: "admin.read operator auditor",
  ListLimits: "admin.read operator auditor",
  UpdateLimit: "policy.write operator",
  DeleteLimit: "policy.write operator",
  GetLimitUsage: "admin.read operator auditor",
  ResetLimitUsage: "policy.write operator",
};
const prices = {
  CreatePrice: "admin admin",
  GetPrice: "admin.read operator auditor",
  ListPrices: "admin.read operator auditor",
  UpdatePrice: "admin admin",
  DeletePrice: "admin admin",
  ListEffectivePrices: "admin.read operator auditor",
  RerateRows: "admin admin",
};
const requestLog = {
  ListRequests: "requests.read viewer auditor app",
  GetRequest: "requests.read viewer auditor app",
  WatchRequests: "requests.read viewer auditor app",
  ListSessions: "requests.read viewer auditor",
  GetSession: "requests.read viewer auditor",
};
const tenants = {
  CreateTenant: "admin admin",
  GetTenant: "admin.read operator auditor",
  ListTenants: "admin.read operator auditor",
  UpdateTenant: "admin admin",
  CreateProject: "admin admin",
  GetProject: "admin.read operator auditor",
  ListProjects: "admin.read operator auditor",
  UpdateProject: "admin admin",
};
const usage = { SumUsage: "requests.read viewer auditor", WatchUsage: "requests.read viewer auditor" };
const inference = {
  Generate: "chat member app",
  Complete: "chat member app",
  Embed: "embed member app",
  CountTokens: "chat member app",
  ListModels: "models viewer auditor app",
};

/** By `package.Service.Method`. */
export const procedureRules: Readonly<Record<string, string>> = Object.fromEntries(
  Object.entries({
    "admin.v1.AgentService": agents,
    "admin.v1.AuditService": audit,
    "admin.v1.KeyService": keys,
    "admin.v1.LimitService": limits,
    "admin.v1.PriceService": prices,
    "admin.v1.RequestLogService": requestLog,
    "admin.v1.TenantService": tenants,
    "admin.v1.UsageService": usage,
    "v1.InferenceService": inference,
  }).flatMap(([service, methods]) => Object.entries(methods).map(([method, rule]) => [`dragoman.${service}.${method}`, rule])),
);

/** Methods of Gemini's models, wherever they are mounted. */
function geminiRules(model: string): Record<string, string> {
  return {
    [`POST ${model}:generateContent`]: "chat member app",
    [`POST ${model}:streamGenerateContent`]: "chat member app",
    [`POST ${model}:countTokens`]: "chat member app",
    [`POST ${model}:embedContent`]: "embed member app",
    [`POST ${model}:batchEmbedContents`]: "embed member app",
    [`POST ${model}:{verb}`]: "chat member app",
  };
}

/** By `METHOD /path`. */
export const endpointRules: Readonly<Record<string, string>> = {
  "POST /v1/chat/completions": "chat member app",
  "POST /v1/completions": "chat member app",
  "POST /v1/responses": "chat member app",
  "POST /v1/responses/input_tokens": "chat member app",
  "POST /v1/responses/compact": "chat member app",
  "GET /v1/responses/{id}": "chat viewer auditor app",
  "DELETE /v1/responses/{id}": "chat member app",
  "POST /v1/responses/{id}/cancel": "chat member app",
  "GET /v1/responses/{id}/input_items": "chat viewer auditor app",
  "POST /v1/messages": "chat member app",
  "POST /v1/messages/count_tokens": "chat member app",
  "POST /v1/embeddings": "embed member app",
  "GET /v1/models": "models viewer auditor app",
  "GET /v1/models/{model+}": "models viewer auditor app",
  "GET /v1beta/models": "models viewer auditor app",
  "GET /v1beta/models/{model+}": "models viewer auditor app",
  "GET /v1beta1/models": "models viewer auditor app",
  "GET /v1beta1/models/{model+}": "models viewer auditor app",
  ...geminiRules("/v1/models/{model+}"),
  ...geminiRules("/v1beta/models/{model+}"),
  ...geminiRules("/v1beta1/models/{model+}"),
  ...geminiRules("/v1beta/{model+}"),
  ...geminiRules("/v1beta1/{model+}"),
};

/** What anyone who reaches a port may read, without a key. */
export const openPaths: Readonly<Record<"data" | "admin", readonly string[]>> = {
  data: ["/healthz", "/metrics", "/statsz"],
  admin: ["/healthz", "/readyz", "/metrics", "/statsz"],
};

const sha256 = "0".repeat(64);
const anchor = { seconds: 0n, nanos: 0 };
const name = { paths: ["name"] };

/** A request of every admin procedure that is good but for naming another tenant, which must not be there for its caller. */
export const requestsForTenant: Readonly<Record<string, (tenant: string) => object>> = {
  "KeyService.CreateKey": (tenant) => ({ tenant, key: {} }),
  "KeyService.GetKey": (tenant) => ({ tenant, id: "firstadmin00" }),
  "KeyService.ListKeys": (tenant) => ({ tenant }),
  "KeyService.UpdateKey": (tenant) => ({ tenant, key: { id: "firstadmin00" }, updateMask: name }),
  "KeyService.RotateKey": (tenant) => ({ tenant, id: "firstadmin00" }),
  "KeyService.RevokeKey": (tenant) => ({ tenant, id: "firstadmin00" }),
  "KeyService.ImportKeys": (tenant) => ({ tenant, keys: [{ credential: { case: "sha256", value: sha256 } }] }),
  "TenantService.GetTenant": (id) => ({ id }),
  "TenantService.UpdateTenant": (id) => ({ tenant: { id }, updateMask: name }),
  "TenantService.CreateProject": (tenant) => ({ tenant, project: { id: "p" } }),
  "TenantService.GetProject": (tenant) => ({ tenant, id: "default" }),
  "TenantService.ListProjects": (tenant) => ({ tenant }),
  "TenantService.UpdateProject": (tenant) => ({ tenant, project: { id: "default" }, updateMask: name }),
  "AuditService.ListAuditEntries": (tenant) => ({ tenant }),
  "AuditService.VerifyAuditLog": (tenant) => ({ tenant }),
  "AgentService.CreateAgent": (tenant) => ({ tenant, agent: { key: "some-agent" } }),
  "AgentService.GetAgent": (tenant) => ({ tenant, id: "some-agent" }),
  "AgentService.ListAgents": (tenant) => ({ tenant }),
  "AgentService.UpdateAgent": (tenant) => ({ tenant, agent: { id: "some-agent" }, updateMask: { paths: ["model"] } }),
  "AgentService.DeleteAgent": (tenant) => ({ tenant, id: "some-agent" }),
  "AgentService.GetAgentMetrics": (tenant) => ({ tenant, id: "some-agent" }),
  "LimitService.CreateLimit": (tenant) => ({ tenant, limit: { subject: 1, concurrency: 1n } }),
  "LimitService.GetLimit": (tenant) => ({ tenant, id: "some-limit" }),
  "LimitService.ListLimits": (tenant) => ({ tenant }),
  "LimitService.UpdateLimit": (tenant) => ({
    tenant,
    limit: { id: "some-limit", subject: 1, concurrency: 1n },
    updateMask: { paths: ["concurrency"] },
  }),
  "LimitService.DeleteLimit": (tenant) => ({ tenant, id: "some-limit" }),
  "LimitService.GetLimitUsage": (tenant) => ({ tenant }),
  "LimitService.ResetLimitUsage": (tenant) => ({ tenant, limitId: "some-limit" }),
  "PriceService.CreatePrice": (tenant) => ({ tenant, price: { provider: "sim", model: "*", tiers: [{ rates: { input: "1" } }] } }),
  "PriceService.GetPrice": (tenant) => ({ tenant, id: "some-price" }),
  "PriceService.ListPrices": (tenant) => ({ tenant }),
  "PriceService.UpdatePrice": (tenant) => ({ tenant, price: { id: "some-price", provider: "sim" }, updateMask: { paths: ["provider"] } }),
  "PriceService.DeletePrice": (tenant) => ({ tenant, id: "some-price" }),
  "PriceService.ListEffectivePrices": (tenant) => ({ tenant }),
  "PriceService.RerateRows": (tenant) => ({ tenant, from: anchor, dryRun: true }),
  "RequestLogService.ListRequests": (tenant) => ({ tenant }),
  "RequestLogService.GetRequest": (tenant) => ({ tenant, requestId: "some-request" }),
  "RequestLogService.WatchRequests": (tenant) => ({ tenant }),
  "RequestLogService.ListSessions": (tenant) => ({ tenant }),
  "RequestLogService.GetSession": (tenant) => ({ tenant, id: "some-session" }),
  "UsageService.SumUsage": (tenant) => ({ query: { tenant } }),
  "UsageService.WatchUsage": (tenant) => ({ query: { tenant } }),
};

/** Those that are about no tenant in particular. */
export const withoutTenant: readonly string[] = ["TenantService.CreateTenant", "TenantService.ListTenants"];
