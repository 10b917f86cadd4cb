import { type OpenedAccess, openAccess } from "../access/open-access.ts";
import type { Config } from "../config/schema.ts";
import { systemClock } from "../core/clock.ts";
import type { Logger } from "../core/log.ts";
import type { Stores } from "../core/stores.ts";
import { createFetchJson } from "../providers/fetch-json.ts";
import { version } from "../version.ts";

/** Who may call, and who administers that. Throws KeyFileError and StartError. */
export function openPeople(config: Config, stores: Stores, log: Logger): Promise<OpenedAccess> {
  return openAccess({
    auth: config.auth,
    trustedProxies: config.server.trusted_proxies,
    hostNames: config.server.host_names,
    dataDir: config.data_dir,
    stores,
    fetchJson: createFetchJson({ configuredOrigins: issuerOrigins(config), userAgent: `dragoman/${version}` }),
    clock: systemClock,
    log,
  });
}

/** The issuer's hosts stand in the configuration in so many words; where else it keeps its keys must be public. */
function issuerOrigins({ auth: { oidc_issuer: issuer, oidc_jwks_url: keys } }: Config): ReadonlySet<string> {
  return new Set([issuer, keys].flatMap((url) => (url === undefined ? [] : [new URL(url).origin])));
}
