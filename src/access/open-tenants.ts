/**
 * Whether a tenant and its project take calls: for callers whom a token or a certificate names. Keys of the store are looked
 * up together with theirs.
 */
import type { Clock } from "../core/clock.ts";
import type { Principal } from "../core/principal.ts";
import type { Stores } from "../core/stores.ts";
import { BoundedCache } from "./bounded-cache.ts";
import { unauthenticated } from "./unauthenticated.ts";

export interface OpenTenantsOptions {
  readonly tenants: Pick<Stores["tenants"], "get">;
  readonly projects: Pick<Stores["projects"], "get">;
  readonly clock: Clock;
}

/** How long an answer is believed: as long as a revoked key may still work. */
const freshMs = 5_000;
const entries = 10_000;

interface Known {
  readonly tenant: string;
  readonly isOpen: boolean;
  readonly until: number;
}

export class OpenTenants {
  readonly #options: OpenTenantsOptions;
  readonly #known = new BoundedCache<Known>(entries);

  constructor(options: OpenTenantsOptions) {
    this.#options = options;
  }

  /** The principal itself. Throws unauthenticated where its tenant or project is disabled; a store that is away disables nobody. */
  admit(principal: Principal): Principal | Promise<Principal> {
    const known = this.#known.get(nameOf(principal));
    if (known === undefined || this.#options.clock.now() >= known.until) return this.#look(principal, known?.isOpen ?? true);
    if (!known.isOpen) throw unauthenticated();
    return principal;
  }

  forget(tenant: string): void {
    this.#known.deleteWhere((known) => known.tenant === tenant);
  }

  async #look(principal: Principal, before: boolean): Promise<Principal> {
    const { tenants, projects, clock } = this.#options;
    const { tenant, project } = principal;
    let isOpen = before;
    try {
      const [organisation, part] = await Promise.all([tenants.get(tenant), projects.get(tenant, project)]);
      isOpen = organisation?.enabled !== false && part?.enabled !== false;
    } catch {
      // What was known last holds until the store is back.
    }
    this.#known.set(nameOf(principal), { tenant, isOpen, until: clock.now() + freshMs });
    if (!isOpen) throw unauthenticated();
    return principal;
  }
}

/** Neither name holds a line break. */
function nameOf({ tenant, project }: Principal): string {
  return `${tenant}\n${project}`;
}
