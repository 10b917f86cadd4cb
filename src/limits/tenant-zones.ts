/** The time zones of tenants, as calendar windows need them: at once, and right within a minute. */
import type { TenantStore } from "../core/tenant-store.ts";
import { isTimeZone } from "./calendar.ts";

const freshMs = 60_000;
const maxTenants = 10_000;

export class TenantZones {
  readonly #tenants: Pick<TenantStore, "get">;
  readonly #now: () => number;
  readonly #zones = new Map<string, { readonly zone: string; at: number }>();

  /** `now` gives milliseconds of a clock that never goes back. */
  constructor(tenants: Pick<TenantStore, "get">, now: () => number) {
    this.#tenants = tenants;
    this.#now = now;
  }

  /** Undefined where it was not asked for yet; one that was asked for long ago is read anew behind the scenes. */
  of(tenant: string): string | undefined {
    const known = this.#zones.get(tenant);
    if (known === undefined) return undefined;
    if (this.#now() - known.at > freshMs) {
      known.at = this.#now();
      void this.load(tenant);
    }
    return known.zone;
  }

  /** Never rejects: where the store is away what was known holds, or UTC for now. */
  async load(tenant: string): Promise<string> {
    try {
      const { timeZone = "" } = (await this.#tenants.get(tenant)) ?? {};
      const zone = timeZone !== "" && isTimeZone(timeZone) ? timeZone : "UTC";
      if (this.#zones.size >= maxTenants) this.#zones.clear();
      this.#zones.set(tenant, { zone, at: this.#now() });
      return zone;
    } catch {
      return this.#zones.get(tenant)?.zone ?? "UTC";
    }
  }
}
