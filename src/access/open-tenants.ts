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
/** How long a caller of a known tenant waits for a slow store. */
const patienceMs = 500;
const entries = 10_000;

interface Known {
  readonly tenant: string;
  readonly isOpen: boolean;
  readonly until: number;
}

export class OpenTenants {
  readonly #options: OpenTenantsOptions;
  readonly #known = new BoundedCache<Known>(entries);
  readonly #looking = new Map<string, Promise<boolean>>();

  constructor(options: OpenTenantsOptions) {
    this.#options = options;
  }

  /** The principal itself. Throws unauthenticated where its tenant or project is disabled; a store that is away disables nobody. */
  admit(principal: Principal): Principal | Promise<Principal> {
    const known = this.#known.get(nameOf(principal));
    if (known === undefined || this.#options.clock.now() >= known.until) return this.#ask(principal, known);
    if (!known.isOpen) throw unauthenticated();
    return principal;
  }

  forget(tenant: string): void {
    this.#known.deleteWhere((known) => known.tenant === tenant);
  }

  async #ask(principal: Principal, known: Known | undefined): Promise<Principal> {
    const isOpen = await (known === undefined ? this.#look(principal, true) : this.#lookWithPatience(principal, known));
    if (!isOpen) throw unauthenticated();
    return principal;
  }

  /** What was known holds where the store takes its time: then nobody waits for a while. */
  async #lookWithPatience(principal: Principal, { tenant, isOpen }: Known): Promise<boolean> {
    const patience = Promise.withResolvers<boolean>();
    const timer = setTimeout(() => {
      this.#known.set(nameOf(principal), { tenant, isOpen, until: this.#options.clock.now() + freshMs });
      patience.resolve(isOpen);
    }, patienceMs).unref();
    try {
      return await Promise.race([this.#look(principal, isOpen), patience.promise]);
    } finally {
      clearTimeout(timer);
    }
  }

  /** Whether it is open; `before` where the store is away. One look at a time. Never rejects. */
  #look(principal: Principal, before: boolean): Promise<boolean> {
    const name = nameOf(principal);
    const running = this.#looking.get(name) ?? this.#read(principal, before).finally(() => this.#looking.delete(name));
    this.#looking.set(name, running);
    return running;
  }

  async #read(principal: Principal, before: boolean): Promise<boolean> {
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
    return isOpen;
  }
}

/** Neither name holds a line break. */
function nameOf({ tenant, project }: Principal): string {
  return `${tenant}\n${project}`;
}
