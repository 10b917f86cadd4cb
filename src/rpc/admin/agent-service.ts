/** dragoman.admin.v1.AgentService. */
import { create } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import {
  type Agent,
  AgentCostSchema,
  AgentSchema,
  type AgentService,
  AgentStatus,
} from "../../../gen/dragoman/admin/v1/agent_service_pb.ts";
import type { CallerAgentChanges, CallerAgentRecord, CallerAgentStore } from "../../core/caller-agent-store.ts";
import type { Clock } from "../../core/clock.ts";
import { GatewayError, invalidField } from "../../core/error.ts";
import type { RequestDimension, RequestLogStore, RequestSummary } from "../../core/request-log-store.ts";
import { agentStatusOf, healthOf, healthSpanMs, type AgentStatus as StatusName } from "../../request-log/agent-health.ts";
import { adminCallOf } from "./admin-call.ts";
import { readPage } from "./page.ts";
import { writeTime } from "./timestamp.ts";
import { readUpdateMask } from "./update-mask.ts";

export interface AgentServiceOptions {
  readonly callerAgents: CallerAgentStore;
  readonly requestLog: Pick<RequestLogStore, "summarise">;
  readonly clock: Clock;
}

const changeable = ["description", "model", "environment"] as const;
const dayMs = 24 * 3_600_000;
const defaultDays = 7;
/** Those that people make are not held to the number that may come by themselves. */
const maxAgents = 1_000_000;

const statuses: Readonly<Record<StatusName, AgentStatus>> = {
  healthy: AgentStatus.HEALTHY,
  degraded: AgentStatus.DEGRADED,
  critical: AgentStatus.CRITICAL,
  offline: AgentStatus.OFFLINE,
  inactive: AgentStatus.INACTIVE,
};

export function createAgentService({ callerAgents, requestLog, clock }: AgentServiceOptions): ServiceImpl<typeof AgentService> {
  return {
    async createAgent({ tenant: named, agent }, context) {
      const call = adminCallOf(context);
      const tenant = call.tenant(named);
      const { key, description, model, environment } = required(agent);
      if (key === "") throw invalidField("agent.key", "is required: a letter or digit, then 2 to 63 of a-z, 0-9, dot, underscore, hyphen");
      call.about({ kind: "agent", id: key, tenant });
      if ((await callerAgents.getByKey(tenant, key)) !== undefined) throw taken(key);
      const facts = { key, description, model, environment: environment || "production", discovered: false };
      const made = await callerAgents.register(tenant, facts, maxAgents);
      // One that came by itself in between stands already.
      if (made === undefined || made.discovered) throw taken(key);
      call.about({ kind: "agent", id: made.id, tenant });
      const written = writeAgent(made);
      call.changed(AgentSchema, undefined, written);
      return { agent: written };
    },

    async getAgent({ tenant: named, id }, context) {
      const tenant = adminCallOf(context).tenant(named);
      const agent = await find(tenant, id);
      return { agent: writeAgent(agent), ...(await judge(tenant, agent)) };
    },

    async listAgents({ tenant, ...page }, context) {
      const { items, next = "" } = await callerAgents.list(adminCallOf(context).tenant(tenant), readPage(page));
      return { agents: items.map(writeAgent), nextPageToken: next };
    },

    async updateAgent({ tenant: named, agent, updateMask, etag }, context) {
      const call = adminCallOf(context);
      const tenant = call.tenant(named);
      const wanted = required(agent);
      const fields = readUpdateMask(updateMask, changeable);
      call.about({ kind: "agent", id: wanted.id, tenant, details: { fields: [...fields] } });
      const changes: CallerAgentChanges = Object.fromEntries([...fields].map((name) => [name, wanted[name]]));
      const before = await callerAgents.get(tenant, wanted.id);
      const after = writeAgent(await callerAgents.update(tenant, wanted.id, changes, etag || undefined));
      call.changed(AgentSchema, before === undefined ? undefined : writeAgent(before), after);
      return { agent: after };
    },

    async deleteAgent({ tenant: named, id, etag }, context) {
      const call = adminCallOf(context);
      const tenant = call.tenant(named);
      call.about({ kind: "agent", id, tenant });
      const before = await callerAgents.get(tenant, id);
      await callerAgents.delete(tenant, id, etag || undefined);
      call.changed(AgentSchema, before === undefined ? undefined : writeAgent(before), undefined);
      return {};
    },

    async getAgentMetrics({ tenant: named, id, days }, context) {
      const tenant = adminCallOf(context).tenant(named);
      const agent = await find(tenant, id);
      const from = clock.wall() - (days || defaultDays) * dayMs;
      const [[all], byModel, byEnvironment, judged] = await Promise.all([
        summarise(tenant, agent, from, []),
        summarise(tenant, agent, from, ["upstreamModel"]),
        summarise(tenant, agent, from, ["environment"]),
        judge(tenant, agent),
      ]);
      const { success = 0, timeout = 0 } = all?.byStatus ?? {};
      const latency = all?.latencyMs;
      return {
        agent: writeAgent(agent),
        requests: BigInt(all?.requests ?? 0),
        success: BigInt(success),
        error: BigInt((all?.requests ?? 0) - success - timeout),
        timeout: BigInt(timeout),
        ...(latency === undefined ? {} : { latencyP50Ms: latency.p50, latencyP90Ms: latency.p90, latencyP99Ms: latency.p99 }),
        byModel: byModel.map((summary) => writeCost(summary, "upstreamModel")),
        byEnvironment: byEnvironment.map((summary) => writeCost(summary, "environment")),
        ...judged,
      };
    },
  };

  async function find(tenant: string, name: string): Promise<CallerAgentRecord> {
    const agent = (await callerAgents.get(tenant, name)) ?? (await callerAgents.getByKey(tenant, name));
    if (agent === undefined) throw new GatewayError("not_found", `there is no agent "${name.slice(0, 64)}"`);
    return agent;
  }

  function summarise(tenant: string, { key }: CallerAgentRecord, from: number, by: readonly RequestDimension[]) {
    return requestLog.summarise(tenant, { callerAgent: key, from }, by);
  }

  /** By the last seven days, whatever span was asked for. */
  async function judge(tenant: string, agent: CallerAgentRecord): Promise<{ health?: number; status: AgentStatus }> {
    const now = clock.wall();
    const [calls] = await summarise(tenant, agent, now - healthSpanMs, []);
    const health = healthOf(calls, now);
    const status = statuses[agentStatusOf(health, calls?.lastAt ?? agent.lastSeenAt, now)];
    return health === undefined ? { status } : { health, status };
  }
}

function required(agent: Agent | undefined): Agent {
  if (agent === undefined) throw invalidField("agent", "is required");
  return agent;
}

function taken(key: string): GatewayError {
  return new GatewayError("already_exists", `there is an agent "${key}" already`);
}

function writeAgent({ id, tenant, key, description, model, environment, discovered, etag, ...times }: CallerAgentRecord): Agent {
  const message = create(AgentSchema, {
    ...{ id, tenant, key, description, model, environment, discovered, etag },
    createTime: writeTime(times.createdAt),
    updateTime: writeTime(times.updatedAt),
  });
  if (times.lastSeenAt !== undefined) message.lastSeenTime = writeTime(times.lastSeenAt);
  return message;
}

function writeCost({ group, requests, promptTokens, completionTokens, costNano, unpriced }: RequestSummary, by: RequestDimension) {
  return create(AgentCostSchema, {
    name: group[by] ?? "",
    requests: BigInt(requests),
    ...{ promptTokens, completionTokens },
    costNanoUsd: costNano,
    unpriced: BigInt(unpriced),
  });
}
