import { readFileSync } from "node:fs";
import { type AddressInfo, isIPv6 } from "node:net";
import type { Config, ServerConfig } from "../config/schema.ts";
import { systemClock } from "../core/clock.ts";
import type { ConnectionSource } from "../core/connection-source.ts";
import { GatewayError } from "../core/error.ts";
import type { Stores } from "../core/stores.ts";
import { inboundHeaders, type StoppableCallStarter } from "../pipeline/call-starter.ts";
import type { AdminService } from "../rpc/admin/admin-service.ts";
import { HealthTable } from "../rpc/health-table.ts";
import { createAdminHandler } from "../server/admin-handler.ts";
import { createExchangeCount } from "../server/exchange-count.ts";
import type { ReadinessFacts } from "../server/health-handler.ts";
import type { TlsFiles } from "../server/one-port.ts";
import { createServer, type StopOptions } from "../server/server.ts";
import { createDataHandler, type DataParts } from "./create-data-handler.ts";
import { rpcLimits, serverLimits } from "./server-limits.ts";

export interface ServerParts extends Omit<DataParts, "health" | "reflection" | "limits" | "responses" | "clock" | "shutdownSignal"> {
  readonly stores: Pick<Stores, "responses" | "audit">;
  readonly starter: StoppableCallStarter;
  readonly adminServices: readonly AdminService[];
  readonly readiness: () => ReadinessFacts;
  /** Where connections come from if another process has bound the ports. */
  readonly sources: Readonly<Record<"data" | "admin", ConnectionSource>> | undefined;
  /** Aborted when nobody is to be answered any more. */
  readonly shutdown: AbortSignal;
}

export interface OpenedServer {
  readonly dataUrl: string;
  readonly adminUrl: string;
  readonly ports: readonly number[];
  /** Drains both ports and closes them; a second call hurries the first. */
  stop(options?: StopOptions): Promise<void>;
}

/** Listens on both ports. Rejects with Node's error (EADDRINUSE, EACCES); nothing listens then. */
export async function openServer(config: Config, parts: ServerParts): Promise<OpenedServer> {
  const { server: settings } = config;
  const { stores, access, starter, metrics, exposition, readiness, sources, log } = parts;
  const health = new HealthTable();
  const tls = readTls(settings);
  const rpc = { health, reflection: config.rpc.reflection, limits: rpcLimits(config), shutdownSignal: parts.shutdown, log };
  const admin = { services: parts.adminServices, access, audit: stores.audit, clock: systemClock };
  const server = createServer({
    data: {
      handler: createDataHandler(config, { ...parts, ...rpc, responses: stores.responses, clock: systemClock }),
      ...settings.listen,
      tls,
      count: metrics === undefined ? undefined : createExchangeCount(metrics, systemClock),
      source: sources?.data,
    },
    admin: {
      handler: createAdminHandler({ ...rpc, readiness, exposition, admin }),
      ...settings.listen_admin,
      tls,
      source: sources?.admin,
    },
    limits: serverLimits(settings),
    inboundHeaders,
    drain: { noticeMs: settings.drain_notice_seconds * 1_000, graceMs: settings.drain_seconds * 1_000 },
    health,
    abortCalls() {
      starter.stopAll(() => new GatewayError("no_target", "the gateway is shutting down; repeat the call", { retryAfterMs: 1_000 }));
    },
    log,
  });
  const { data, admin: adminAddress = data } = await server.listen();
  const scheme = tls === undefined ? "http" : "https";
  return {
    dataUrl: urlOf(scheme, data),
    adminUrl: urlOf(scheme, adminAddress),
    ports: [data.port, adminAddress.port],
    stop: (options) => server.stop(options),
  };
}

function readTls({ tls }: ServerConfig): TlsFiles | undefined {
  if (tls === undefined) return undefined;
  const { cert_file: cert, key_file: key, client_ca_file: clientCa } = tls;
  return {
    cert: readFileSync(cert),
    key: readFileSync(key),
    clientCa: clientCa === undefined ? undefined : readFileSync(clientCa),
  };
}

function urlOf(scheme: string, { address, port }: AddressInfo): string {
  return `${scheme}://${isIPv6(address) ? `[${address}]` : address}:${port}`;
}
