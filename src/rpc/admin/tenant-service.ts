/** dragoman.admin.v1.TenantService. */
import { create } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import {
  type Project,
  ProjectSchema,
  type Tenant,
  TenantSchema,
  type TenantService,
} from "../../../gen/dragoman/admin/v1/tenant_service_pb.ts";
import { keepingAdmin } from "../../access/last-admin.ts";
import { changesAllTenants, seesAllTenants } from "../../core/access.ts";
import type { Clock } from "../../core/clock.ts";
import { GatewayError, invalidField } from "../../core/error.ts";
import { isJsonObject, parseJson } from "../../core/json.ts";
import { defaultProject, defaultTenant } from "../../core/principal.ts";
import type { ProjectRecord, ProjectStore, TenantRecord, TenantStore } from "../../core/tenant-store.ts";
import { adminCallOf } from "./admin-call.ts";
import { readPage } from "./page.ts";
import { writeTime } from "./timestamp.ts";
import { readUpdateMask } from "./update-mask.ts";

export interface TenantServiceOptions {
  readonly tenants: TenantStore;
  readonly projects: ProjectStore;
  readonly clock: Clock;
  /** Told when keys of a tenant may have stopped or begun to work. */
  readonly onChange: (tenant: string) => void;
}

const emptySettings = "{}";

export function createTenantService({ tenants, projects, clock, onChange }: TenantServiceOptions): ServiceImpl<typeof TenantService> {
  return {
    async createTenant({ tenant }, context) {
      const call = adminCallOf(context);
      const { id, name, timeZone, settingsJson } = required(tenant, "tenant");
      call.about({ kind: "tenant", id });
      if (!changesAllTenants(call.principal)) throw new GatewayError("forbidden", 'tenants are made by admins of the tenant "default"');
      const facts = { name, enabled: true, ...readZone(timeZone), ...readSettings(settingsJson, "tenant.settings_json") };
      const record = await tenants.create(id, facts);
      await projects.create(id, defaultProject, { name: "", enabled: true, settingsJson: emptySettings });
      const written = writeTenant(record);
      call.changed(TenantSchema, undefined, written);
      return { tenant: written };
    },

    async getTenant({ id: named }, context) {
      const id = adminCallOf(context).tenant(named);
      return { tenant: writeTenant(found(await get(id), "tenant", id)) };
    },

    async listTenants(request, context) {
      const { principal } = adminCallOf(context);
      if (!seesAllTenants(principal)) {
        const own = await get(principal.tenant);
        return { tenants: own === undefined ? [] : [writeTenant(own)] };
      }
      await get(defaultTenant);
      const { items, next = "" } = await tenants.list(readPage(request));
      return { tenants: items.map(writeTenant), nextPageToken: next };
    },

    async updateTenant({ tenant, updateMask, etag }, context) {
      const call = adminCallOf(context);
      const { id: named, name, timeZone, enabled, settingsJson } = required(tenant, "tenant");
      const id = call.tenant(named);
      const fields = readUpdateMask(updateMask, ["name", "time_zone", "enabled", "settings_json"]);
      call.about({ kind: "tenant", id, tenant: id, details: { fields: [...fields] } });
      if (fields.has("enabled") && !enabled && id === call.principal.tenant) {
        throw invalidField("tenant.enabled", "would lock its own admins out; another tenant's admin must do that");
      }
      const before = await get(id);
      const record = await tenants.update(
        id,
        {
          ...(fields.has("name") ? { name } : {}),
          ...(fields.has("time_zone") ? readZone(timeZone) : {}),
          ...(fields.has("enabled") ? { enabled } : {}),
          ...(fields.has("settings_json") ? readSettings(settingsJson, "tenant.settings_json") : {}),
        },
        etag || undefined,
      );
      onChange(id);
      const after = writeTenant(record);
      call.changed(TenantSchema, before === undefined ? undefined : writeTenant(before), after);
      return { tenant: after };
    },

    async createProject({ tenant: named, project }, context) {
      const call = adminCallOf(context);
      const tenant = call.tenant(named);
      const { id, name, settingsJson } = required(project, "project");
      call.about({ kind: "project", id, tenant });
      if (tenant !== call.principal.tenant) found(await tenants.get(tenant), "tenant", tenant);
      const settings = readSettings(settingsJson, "project.settings_json");
      const written = writeProject(await projects.create(tenant, id, { name, enabled: true, ...settings }));
      call.changed(ProjectSchema, undefined, written);
      return { project: written };
    },

    async getProject({ tenant: named, id }, context) {
      const tenant = adminCallOf(context).tenant(named);
      return { project: writeProject(found(await projects.get(tenant, id), "project", id)) };
    },

    async listProjects({ tenant: named, ...page }, context) {
      const tenant = adminCallOf(context).tenant(named);
      const { items, next = "" } = await projects.list(tenant, readPage(page));
      return { projects: items.map(writeProject), nextPageToken: next };
    },

    async updateProject({ tenant: named, project, updateMask, etag }, context) {
      const call = adminCallOf(context);
      const tenant = call.tenant(named);
      const { id, name, enabled, settingsJson } = required(project, "project");
      const fields = readUpdateMask(updateMask, ["name", "enabled", "settings_json"]);
      call.about({ kind: "project", id, tenant, details: { fields: [...fields] } });
      if (fields.has("enabled") && !enabled && tenant === call.principal.tenant && id === call.principal.project) {
        throw invalidField("project.enabled", "would lock you out, as it is your own project; a caller of another project must do that");
      }
      const before = await projects.get(tenant, id);
      const disables = fields.has("enabled") && !enabled;
      const lockedOut = () =>
        invalidField("project.enabled", "would disable the last key that administers this tenant; make another one first");
      const record = await projects.update(
        tenant,
        id,
        {
          ...(fields.has("name") ? { name } : {}),
          ...(fields.has("enabled") ? { enabled } : {}),
          ...(fields.has("settings_json") ? readSettings(settingsJson, "project.settings_json") : {}),
        },
        etag || undefined,
        disables ? keepingAdmin(call.principal, tenant, clock.wall(), lockedOut) : undefined,
      );
      onChange(tenant);
      const after = writeProject(record);
      call.changed(ProjectSchema, before === undefined ? undefined : writeProject(before), after);
      return { project: after };
    },
  };

  /** A tenant; the default one is there without being made, so its record is made when it is looked for. */
  async function get(id: string): Promise<TenantRecord | undefined> {
    const record = await tenants.get(id);
    if (record !== undefined || id !== defaultTenant) return record;
    try {
      return await tenants.create(id, { name: "", timeZone: "UTC", enabled: true, settingsJson: emptySettings });
    } catch (error) {
      if (error instanceof GatewayError && error.reason === "already_exists") return tenants.get(id);
      throw error;
    }
  }
}

function readZone(timeZone: string): { timeZone: string } {
  if (timeZone === "") return { timeZone: "UTC" };
  try {
    new Intl.DateTimeFormat("en", { timeZone });
    return { timeZone };
  } catch {
    throw invalidField("tenant.time_zone", "is no time zone; write it as in Europe/Berlin");
  }
}

function readSettings(settingsJson: string, field: string): { settingsJson: string } {
  if (settingsJson === "") return { settingsJson: emptySettings };
  let value: unknown;
  try {
    value = parseJson(settingsJson);
  } catch {
    throw invalidField(field, "is not valid JSON");
  }
  if (!isJsonObject(value)) throw invalidField(field, "is no JSON object");
  return { settingsJson };
}

function found<Record>(record: Record | undefined, kind: string, id: string): Record {
  if (record === undefined) throw new GatewayError("not_found", `there is no ${kind} "${id.slice(0, 64)}"`);
  return record;
}

function writeTenant({ id, name, timeZone, enabled, settingsJson, createdAt, updatedAt, etag }: TenantRecord): Tenant {
  const times = { createTime: writeTime(createdAt), updateTime: writeTime(updatedAt) };
  return create(TenantSchema, { id, name, timeZone, enabled, settingsJson, etag, ...times });
}

function writeProject({ tenant, id, name, enabled, settingsJson, createdAt, updatedAt, etag }: ProjectRecord): Project {
  const times = { createTime: writeTime(createdAt), updateTime: writeTime(updatedAt) };
  return create(ProjectSchema, { tenant, id, name, enabled, settingsJson, etag, ...times });
}

function required<Value>(value: Value | undefined, field: string): Value {
  if (value === undefined) throw invalidField(field, "is required");
  return value;
}
