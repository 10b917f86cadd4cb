/** Whether a configuration may be bound to its addresses (reliability.md 2.1): nothing unguarded beyond this machine. */
import { isLoopback, writeListenAddress } from "./listen-address.ts";
import { ConfigError, type Problem } from "./problem.ts";
import type { Config } from "./schema.ts";

/** Throws ConfigError (exit code 78). `nodeVersion` as in process.versions.node. */
export function checkBind({ server, auth }: Config, nodeVersion: string = process.versions.node): void {
  const problems: Problem[] = [];
  const { listen, listen_admin: admin } = server;
  const loopback = isLoopback(listen.host);
  if (!loopback && !auth.enabled) {
    problems.push({
      path: ["server", "listen"],
      message: `${writeListenAddress(listen)} is reachable from other machines, but auth is off; set DRAGOMAN_API_KEY or auth.api_keys_file, or listen on 127.0.0.1`,
    });
  }
  if (!isLoopback(admin.host) && !auth.enabled && server.tls === undefined) {
    problems.push({
      path: ["server", "listen_admin"],
      message: `${writeListenAddress(admin)} is reachable from other machines, but has neither TLS nor auth; set server.tls or DRAGOMAN_API_KEY, or listen on 127.0.0.1`,
    });
  }
  if (!(loopback && isLoopback(admin.host)) && !server.allow_vulnerable_runtime && isVulnerable(nodeVersion)) {
    problems.push({
      path: ["server", "allow_vulnerable_runtime"],
      message: `Node ${nodeVersion} has known security holes that other machines could use; update to 22.22.2, 24.14.1 or newer, or set this to true`,
    });
  }
  if (problems.length > 0) throw new ConfigError(problems);
}

/** Below 22.22.2, and from 23 on below 24.14.1: the releases with the HTTP fixes of early 2026. */
function isVulnerable(nodeVersion: string): boolean {
  const [major = 0, minor = 0, patch = 0] = nodeVersion.split(/[.-]/).map(Number);
  const [leastMajor, leastMinor, leastPatch] = major <= 22 ? [22, 22, 2] : [24, 14, 1];
  if (major !== leastMajor) return major < leastMajor;
  return minor === leastMinor ? patch < leastPatch : minor < leastMinor;
}
