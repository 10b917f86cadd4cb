/** Why a port could not be bound, for operators. */
import { writeListenAddress } from "../config/listen-address.ts";
import type { Config } from "../config/schema.ts";
import { exitCodes, StartError } from "../core/start-error.ts";

/** Node's errors of `listen`, in words that name the address and the way out; undefined for any other error. */
export function explainListenFailure(error: unknown, { server }: Pick<Config, "server">): StartError | undefined {
  if (!(error instanceof Error && "syscall" in error && error.syscall === "listen" && "code" in error)) return undefined;
  const port = "port" in error ? error.port : undefined;
  const { listen_health: health } = server;
  if (health !== undefined && port === health.port && port !== server.listen.port && port !== server.listen_admin.port) {
    const where = `the health port ${writeListenAddress(health)}`;
    return new StartError(`${where} cannot be bound (${error.code}); choose another server.listen_health`, exitCodes.unavailable, error);
  }
  const isAdmin = port === server.listen_admin.port && port !== server.listen.port;
  const [address, flag, variable] = isAdmin ? [server.listen_admin, "--admin-port", "ADMIN_PORT"] : [server.listen, "--port", "PORT"];
  const where = `the ${isAdmin ? "admin" : "data"} port ${writeListenAddress(address)}`;
  const other = `${flag} ${address.port === 0 ? "PORT" : address.port + 1} or ${variable}`;
  const reasons: Record<string, string> = {
    EADDRINUSE: `${where} is in use; end the other program, or choose another port with ${other}`,
    EACCES: `${where} may not be bound by this user; choose a port from 1024 on with ${other}`,
    EADDRNOTAVAIL: `${where} cannot be bound: this machine has no such address; choose one it has with ${isAdmin ? "--admin-host or ADMIN_HOST" : "--host or HOST"}`,
  };
  const reason = reasons[String(error.code)] ?? `${where} cannot be bound (${error.code})`;
  return new StartError(reason, exitCodes.unavailable, error);
}
