/** One of the two tenants of the isolation run: its keys of every role, the words that only it uses, and what it has made. */
import type { Gateway } from "./gateway.ts";

export const roles = ["VIEWER", "MEMBER", "OPERATOR", "ADMIN", "AUDITOR"] as const;
export type Role = (typeof roles)[number];

/** The gateway's own administrator, who belongs to neither tenant. */
export const rootKey = "isolation-root-key-5c0d7e2f9a41";

/** What was made by calls of a tenant, by kind: ids and names that the other tenant then asks for. */
export const thingKinds = [
  ...["request", "response", "session", "agent", "key", "limit", "project"],
  ...["keyPage", "requestPage", "auditPage", "limitPage", "agentPage", "sessionPage"],
] as const;
export type ThingKind = (typeof thingKinds)[number];

export interface Tenant {
  /** Its id, and the word in everything that it writes. */
  readonly marker: string;
  readonly keys: readonly { readonly role: Role; readonly secret: string }[];
  readonly things: Record<ThingKind, string[]>;
  /** Stored answers that it has not deleted itself, and the role of the key that each belongs to. */
  readonly stored: Map<string, Role>;
  /** Words of the other that it asked for: they stand in its own audit log now. */
  readonly asked: Set<string>;
}

/** More of a kind are not remembered. */
const mostThings = 400;

export function remember({ things }: Tenant, kind: ThingKind, id: unknown): void {
  if (typeof id !== "string" || id === "") return;
  const list = things[kind];
  if (list.length < mostThings) list.push(id);
  else list[list.length >> 1] = id;
}

export async function createTenant({ adminUrl }: Gateway, marker: string): Promise<Tenant> {
  const ask = async (procedure: string, body: object): Promise<Record<string, never>> => {
    const response = await fetch(`${adminUrl}/dragoman.admin.v1.${procedure}`, {
      method: "POST",
      headers: { "content-type": "application/json", authorization: `Bearer ${rootKey}` },
      body: JSON.stringify(body),
    });
    if (!response.ok) throw new Error(`${procedure}: ${await response.text()}`);
    return (await response.json()) as Record<string, never>;
  };
  await ask("TenantService/CreateTenant", { tenant: { id: marker, name: `${marker} & co` } });
  const keys: { role: Role; secret: string }[] = [];
  const things = Object.fromEntries(thingKinds.map((kind) => [kind, [] as string[]])) as Record<ThingKind, string[]>;
  for (const role of roles) {
    const key = { name: `${marker} ${role}`, owner: `owner-${marker}`, roles: [`ACCESS_ROLE_${role}`] };
    const made = (await ask("KeyService/CreateKey", { tenant: marker, key })) as { key?: { id?: string }; secret?: string };
    keys.push({ role, secret: made.secret ?? "" });
    things.key.push(made.key?.id ?? "");
  }
  return { marker, keys, things, stored: new Map(), asked: new Set() };
}
