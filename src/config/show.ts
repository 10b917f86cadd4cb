/** The effective configuration for people: secrets masked, addresses as they are written. */
import { writeListenAddress } from "./listen-address.ts";
import type { Config } from "./schema.ts";

/** Plain data in the file's form. A masked secret reads `[secret]`, which no configuration accepts as one. */
export function showConfig(config: Config): unknown {
  const { server } = config;
  const listen = {
    listen: writeListenAddress(server.listen),
    listen_admin: writeListenAddress(server.listen_admin),
    listen_health: server.listen_health === undefined ? undefined : writeListenAddress(server.listen_health),
  };
  return JSON.parse(JSON.stringify({ ...config, server: { ...server, ...listen } }));
}
