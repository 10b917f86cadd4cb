/** OIDC tokens (RFC 7519, reliability.md 2.3): verified by the issuer's public keys, then remembered for at most a minute. */
import { createHash } from "node:crypto";
import { errors, type JWTPayload, jwtVerify } from "jose";
import type { Clock } from "../core/clock.ts";
import { GatewayError } from "../core/error.ts";
import { parseJson } from "../core/json.ts";
import { createPrincipal, defaultProject, defaultTenant, type Principal, type Role } from "../core/principal.ts";
import { isScope, type Scope } from "../core/scope.ts";
import type { TokenAlgorithm } from "../core/token-algorithm.ts";
import { BoundedCache } from "./bounded-cache.ts";
import { readGrants } from "./grants.ts";
import type { Jwks } from "./jwks.ts";
import { unauthenticated } from "./unauthenticated.ts";

/** Which claims say what. Paths have dots, as in `realm_access.roles`. */
export interface ClaimRules {
  /** Claim that lists roles, and which of its values is which of ours; others mean nothing. */
  readonly rolesClaim: string;
  readonly roles: Readonly<Record<string, Role>>;
  /** The role of whoever has none of them. */
  readonly defaultRole: Role;
  /** Claim that lists groups, and the scopes that they give. Beside them `scope` and `scp` count. */
  readonly groupsClaim: string;
  readonly groupScopes: Readonly<Record<string, readonly Scope[]>>;
  /** Claims that name tenant and project; empty: the default ones. */
  readonly tenantClaim: string;
  readonly projectClaim: string;
}

export interface TokensOptions {
  readonly issuer: string;
  /** A token must be for one of them. */
  readonly audience: readonly string[];
  readonly algorithms: readonly TokenAlgorithm[];
  readonly claims: ClaimRules;
  readonly jwks: Jwks;
  readonly clock: Clock;
}

const maxTokenLength = 16_384;
const skewSeconds = 60;
const rememberedMs = 60_000;
const rememberedTokens = 10_000;

/** Whether a credential has the three parts of a signed token: nothing else ever reaches the issuer. */
export function looksLikeToken(credential: string): boolean {
  return credential.length <= maxTokenLength && /^[\w-]+\.[\w-]+\.[\w-]+$/.test(credential);
}

export class Tokens {
  readonly #options: TokensOptions;
  readonly #known = new BoundedCache<{ readonly principal: Principal; readonly until: number }>(rememberedTokens);

  constructor(options: TokensOptions) {
    this.#options = options;
  }

  /** Throws GatewayError: unauthenticated, or store_unavailable where the issuer's keys cannot be had. */
  authenticate(token: string): Principal | Promise<Principal> {
    const { issuer, audience, clock } = this.#options;
    // The whole token: a prefix would give one person's identity to another (reliability.md X4).
    const name = createHash("sha256")
      .update(`${token}\n${issuer}\n${audience.join("\n")}`)
      .digest("base64");
    const known = this.#known.get(name);
    if (known !== undefined && clock.now() < known.until) return known.principal;
    return this.#verify(token, name);
  }

  async #verify(token: string, name: string): Promise<Principal> {
    const { issuer, audience, algorithms, jwks, clock, claims } = this.#options;
    const payload = await this.#check(token, { issuer, audience: [...audience], algorithms: [...algorithms], jwks, clock });
    const principal = readPrincipal(issuer, payload, claims);
    const leftMs = (payload.exp ?? 0) * 1_000 - clock.wall();
    if (leftMs > 0) this.#known.set(name, { principal, until: clock.now() + Math.min(leftMs, rememberedMs) });
    return principal;
  }

  async #check(
    token: string,
    { issuer, audience, algorithms, jwks, clock }: { issuer: string; audience: string[]; algorithms: string[]; jwks: Jwks; clock: Clock },
  ): Promise<JWTPayload> {
    try {
      const { payload } = await jwtVerify(token, ({ kid, alg }) => jwks.find({ ...(kid === undefined ? {} : { kid }), alg }), {
        issuer,
        audience,
        algorithms,
        clockTolerance: skewSeconds,
        currentDate: new Date(clock.wall()),
        requiredClaims: ["iss", "aud", "exp", "sub"],
      });
      refuseRepeatedNames(token);
      return payload;
    } catch (error) {
      if (error instanceof GatewayError) throw error;
      if (error instanceof errors.JOSEError || error instanceof TypeError) throw unauthenticated();
      throw error;
    }
  }
}

/** A claim that stands twice says one thing to us and perhaps another to whoever made the token (RFC 7519 section 4). */
function refuseRepeatedNames(token: string): void {
  for (const part of token.split(".", 2)) {
    try {
      parseJson(Buffer.from(part, "base64url").toString("utf8"));
    } catch {
      throw unauthenticated();
    }
  }
}

const namePattern = /^[a-z0-9][a-z0-9_.-]{0,63}$/;

function readPrincipal(issuer: string, payload: JWTPayload, rules: ClaimRules): Principal {
  const { sub } = payload;
  if (typeof sub !== "string" || sub === "" || sub.length > 1_024) throw unauthenticated();
  const roles = textsAt(payload, rules.rolesClaim).flatMap((value) =>
    Object.hasOwn(rules.roles, value) ? [rules.roles[value] as Role] : [],
  );
  const said = [...wordsOf(payload.scope), ...wordsOf(payload.scp)].filter(isScope);
  const given = textsAt(payload, rules.groupsClaim).flatMap((value) =>
    Object.hasOwn(rules.groupScopes, value) ? (rules.groupScopes[value] ?? []) : [],
  );
  const grants = readGrants({ roles: roles.length === 0 ? [rules.defaultRole] : roles, scopes: [...said, ...given], models: [], app: "" });
  return createPrincipal({
    id: `oidc:${createHash("sha256").update(`${issuer}\n${sub}`).digest("hex").slice(0, 16)}`,
    kind: "oidc",
    tenant: rules.tenantClaim === "" ? defaultTenant : nameAt(payload, rules.tenantClaim),
    project: rules.projectClaim === "" ? defaultProject : nameAt(payload, rules.projectClaim),
    owner: sub,
    ...grants,
  });
}

/** A tenant that a token does not name cannot be guessed. */
function nameAt(payload: JWTPayload, path: string): string {
  const [name = ""] = textsAt(payload, path);
  if (!namePattern.test(name)) throw unauthenticated();
  return name;
}

/** A claim's text, or texts; none where it is something else. */
function textsAt(payload: JWTPayload, path: string): string[] {
  // Claims whose own name has dots, as URLs do, come first.
  const found = Object.hasOwn(payload, path) ? payload[path] : path.split(".").reduce<unknown>(memberOf, payload);
  if (typeof found === "string") return [found];
  return Array.isArray(found) ? found.filter((entry) => typeof entry === "string") : [];
}

function memberOf(value: unknown, name: string): unknown {
  return typeof value === "object" && value !== null && Object.hasOwn(value, name) ? (value as Record<string, unknown>)[name] : undefined;
}

/** `scope` is text with spaces (RFC 8693 section 4.2), `scp` often a list. */
function wordsOf(claim: unknown): string[] {
  if (typeof claim === "string") return claim.split(" ");
  return Array.isArray(claim) ? claim.filter((entry) => typeof entry === "string") : [];
}
