/** The whole gateway with auth on and keys in a store, and clients of its admin port for callers of every role. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { DescService } from "@bufbuild/protobuf";
import { type Client, createClient, type Transport } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { KeyService } from "../../../gen/dragoman/admin/v1/key_service_pb.ts";
import { TenantService } from "../../../gen/dragoman/admin/v1/tenant_service_pb.ts";
import { AccessRole } from "../../../gen/dragoman/v1/auth_pb.ts";
import { type RunningApp, startApp } from "../../../src/app/start-app.ts";
import { loadConfig } from "../../../src/config/load.ts";
import type { LogFields, Logger } from "../../../src/core/log.ts";

export const otherTenant = "other";

export interface AdminGateway {
  readonly app: RunningApp;
  readonly directory: string;
  /** Every line that was logged. */
  readonly lines: readonly string[];
  /** The first administrator's key. */
  readonly root: string;
  /** A key of a role, in the default tenant or another one. */
  keyOf(role: AccessRole, tenant?: string): Promise<string>;
  /** An admin's key that is bound to an app, of the default tenant. */
  keyOfApp(app: string): Promise<string>;
  admin<Desc extends DescService>(service: Desc, key: string | undefined): Client<Desc>;
  data<Desc extends DescService>(service: Desc, key: string | undefined): Client<Desc>;
  close(): Promise<void>;
}

export async function startAdminGateway(config: Record<string, unknown> = {}): Promise<AdminGateway> {
  const directory = mkdtempSync(join(tmpdir(), "dragoman-admin-"));
  const file = join(directory, "dragoman.json");
  const server = { listen: "127.0.0.1:0", listen_admin: "127.0.0.1:0", drain_notice_seconds: 0, drain_seconds: 0 };
  const written = {
    server,
    auth: { enabled: true },
    data_dir: "data",
    discovery: { enabled: false },
    local_embeddings: { enabled: false },
    // How busy the test's machine is decides nothing here.
    admission: { overload: { event_loop_ms: 0 } },
    ...config,
  };
  writeFileSync(file, JSON.stringify(written));
  const lines: string[] = [];
  const app = await startApp({ config: loadConfig({ file, env: {}, cwd: directory }), env: {}, log: collectInto(lines) });
  const root = app.firstKey?.reveal() ?? "";
  const keys = new Map<string, string>();
  const client = <Desc extends DescService>(service: Desc, baseUrl: string, key: string | undefined): Client<Desc> =>
    createClient(service, transportTo(baseUrl, key));
  const admin = <Desc extends DescService>(service: Desc, key: string | undefined) => client(service, app.adminUrl, key);
  if (root !== "") await admin(TenantService, root).createTenant({ tenant: { id: otherTenant } });

  const keyOnce = async (tenant: string, name: string, facts: object): Promise<string> => {
    const known = keys.get(name);
    if (known !== undefined) return known;
    const { secret } = await admin(KeyService, root).createKey({ tenant, key: { name, ...facts } });
    keys.set(name, secret);
    return secret;
  };

  return {
    app,
    directory,
    lines,
    root,
    admin,
    data: (service, key) => client(service, app.dataUrl, key),
    keyOf: (role, tenant = "default") => keyOnce(tenant, `${tenant} role ${role}`, { roles: [role] }),
    keyOfApp: (app) => keyOnce("default", `admin of ${app}`, { roles: [AccessRole.ADMIN], app }),
    async close() {
      await app.stop();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

function transportTo(baseUrl: string, key: string | undefined): Transport {
  return createConnectTransport({
    baseUrl,
    httpVersion: "1.1",
    interceptors: [
      (next) => (request) => {
        if (key !== undefined) request.header.set("authorization", `Bearer ${key}`);
        return next(request);
      },
    ],
  });
}

function collectInto(lines: string[]): Logger {
  const at =
    (level: string) =>
    (message: string, fields: LogFields = {}) =>
      void lines.push(`${level} ${message} ${describe(fields)}`);
  return { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") };
}

function describe(fields: LogFields): string {
  return JSON.stringify(fields, (_, value: unknown) =>
    value instanceof Error ? (value.stack ?? value.message) : typeof value === "bigint" ? String(value) : value,
  );
}
