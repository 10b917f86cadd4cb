import { createHmac } from "node:crypto";
import { exportJWK, exportSPKI, generateKeyPair, type JWK, type JWTPayload, SignJWT, UnsecuredJWT } from "jose";
import { beforeAll, describe, expect, test } from "vitest";
import { Jwks, jwksLimits } from "../../src/access/jwks.ts";
import { type ClaimRules, looksLikeToken, Tokens } from "../../src/access/tokens.ts";
import { GatewayError } from "../../src/core/error.ts";
import { silentLog } from "../../src/core/log.ts";
import type { Principal } from "../../src/core/principal.ts";
import { MovableClock } from "./scene.ts";

type Pair = Awaited<ReturnType<typeof generateKeyPair>>;

const issuer = "https://id.example/realm";
const audience = ["dragoman"];
const plainClaims: ClaimRules = {
  rolesClaim: "realm_access.roles",
  roles: { "gw-admin": "admin", "gw-view": "viewer" },
  defaultRole: "member",
  groupsClaim: "groups",
  groupScopes: { embedders: ["embed"] },
  tenantClaim: "",
  projectClaim: "",
};

let rsa: Pair;
let other: Pair;
let ec: Pair;

beforeAll(async () => {
  [rsa, other, ec] = await Promise.all([generateKeyPair("RS256"), generateKeyPair("RS256"), generateKeyPair("ES256")]);
});

async function jwk({ publicKey }: Pair, facts: Partial<JWK>): Promise<JWK> {
  return { ...(await exportJWK(publicKey)), ...facts };
}

interface Issuer {
  keys: JWK[];
  down: boolean;
  /** Whether it never answers. */
  silent: boolean;
  readonly fetches: string[];
}

async function open({ claims = plainClaims, ttlMs = 600_000 }: { claims?: ClaimRules; ttlMs?: number } = {}) {
  const clock = new MovableClock();
  const server: Issuer = { keys: [await jwk(rsa, { kid: "one" }), await jwk(ec, { kid: "two" })], down: false, silent: false, fetches: [] };
  const fetchJson = async (url: URL) => {
    server.fetches.push(url.pathname);
    if (server.down) throw new Error("down");
    if (server.silent) return new Promise<never>(() => undefined);
    return url.pathname.endsWith("openid-configuration") ? { issuer, jwks_uri: "https://id.example/keys" } : { keys: server.keys };
  };
  const jwks = new Jwks({ issuer, fetchJson, ttlMs, clock, log: silentLog });
  const tokens = new Tokens({ issuer, audience, algorithms: ["RS256", "ES256"], claims, jwks, clock });
  const sign = (payload: JWTPayload = {}, header: { alg?: string; kid?: string } = {}, key: Pair = rsa) => {
    const seconds = Math.floor(clock.time / 1_000);
    return new SignJWT({ iss: issuer, aud: "dragoman", sub: "ann", exp: seconds + 300, ...payload })
      .setProtectedHeader({ alg: "RS256", kid: "one", ...header })
      .sign(key.privateKey);
  };
  const ask = async (token: string): Promise<Principal | string> => {
    try {
      return await tokens.authenticate(token);
    } catch (error) {
      if (error instanceof GatewayError) return error.reason;
      throw error;
    }
  };
  const keyFetches = () => server.fetches.filter((path) => path === "/keys").length;
  return { clock, server, sign, ask, keyFetches };
}

describe("C9: a good token", () => {
  test("is its subject, with a role that the claims give", async () => {
    const { sign, ask } = await open();
    const principal = await ask(await sign({ realm_access: { roles: ["gw-admin", "unknown"] } }));
    expect(principal).toMatchObject({ kind: "oidc", tenant: "default", owner: "ann", roles: new Set(["admin"]) });
    expect((principal as Principal).id).toMatch(/^oidc:[0-9a-f]{16}$/);
    expect(await ask(await sign({}, { alg: "ES256", kid: "two" }, ec))).toMatchObject({ roles: new Set(["member"]) });
  });

  test("names of roles that nobody mapped mean nothing", async () => {
    const { sign, ask } = await open();
    expect(await ask(await sign({ realm_access: { roles: ["admin"] }, roles: ["admin"] }))).toMatchObject({ roles: new Set(["member"]) });
  });

  test("scope, scp and groups give scopes; others of them say nothing", async () => {
    const { sign, ask } = await open();
    expect(await ask(await sign({ scope: "openid chat", groups: ["embedders", "x"] }))).toMatchObject({
      scopes: new Set(["chat", "embed", "models"]),
    });
    expect(await ask(await sign({ scp: ["chat"] }))).toMatchObject({ scopes: new Set(["chat", "models"]) });
    expect(((await ask(await sign({ scope: "openid email" }))) as Principal).scopes.has("embed")).toBe(true);
  });

  test("a tenant comes from its claim, and must be there", async () => {
    const { sign, ask } = await open({ claims: { ...plainClaims, tenantClaim: "https://gw.example/tenant" } });
    expect(await ask(await sign({ "https://gw.example/tenant": "blue" }))).toMatchObject({ tenant: "blue" });
    expect(await ask(await sign())).toBe("unauthenticated");
    expect(await ask(await sign({ "https://gw.example/tenant": "Not A Name" }))).toBe("unauthenticated");
  });

  test("within a minute of clock skew", async () => {
    const { sign, ask, clock } = await open();
    const now = Math.floor(clock.time / 1_000);
    expect(await ask(await sign({ exp: now - 50 }))).toHaveProperty("id");
    expect(await ask(await sign({ exp: now - 61 }))).toBe("unauthenticated");
    expect(await ask(await sign({ nbf: now + 50 }))).toHaveProperty("id");
    expect(await ask(await sign({ nbf: now + 61 }))).toBe("unauthenticated");
  });

  test("is remembered for a minute, never beyond its end", async () => {
    const { sign, ask, clock } = await open();
    const token = await sign({ exp: Math.floor(clock.time / 1_000) + 10 });
    expect(await ask(token)).toHaveProperty("id");
    clock.time += 71_000;
    expect(await ask(token)).toBe("unauthenticated");
  });
});

describe("C9: every other token is refused", () => {
  test("X5, AUTH-4: claims", async () => {
    const { sign, ask, clock } = await open();
    const now = Math.floor(clock.time / 1_000);
    const wrong: JWTPayload[] = [
      { iss: "https://id.example/other" },
      { iss: `${issuer}/` },
      { aud: "somebody-else" },
      { aud: [] },
      { aud: undefined as never },
      { exp: undefined as never },
      { exp: now - 3_600 },
      { sub: undefined as never },
      { sub: "" },
    ];
    for (const payload of wrong) expect(await ask(await sign(payload)), JSON.stringify(payload)).toBe("unauthenticated");
  });

  test("X5, AUTH-4: algorithms: none, a shared secret made of the public key, one that is not allowed, a missing one", async () => {
    const { sign, ask, server } = await open();
    const payload = { iss: issuer, aud: "dragoman", sub: "ann" };
    const part = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");
    const claims = { ...payload, exp: 9_999_999_999 };
    const confused = async (secret: string) => {
      const head = `${part({ alg: "HS256", kid: "one" })}.${part(claims)}`;
      return `${head}.${createHmac("sha256", secret).update(head).digest("base64url")}`;
    };
    const good = await sign();
    const signature = good.split(".")[2] ?? "";
    for (const token of [
      new UnsecuredJWT(payload).setExpirationTime("1h").encode(),
      `${part({ alg: "none", kid: "one" })}.${part(claims)}.${signature}`,
      await confused(await exportSPKI(rsa.publicKey)),
      await confused(JSON.stringify(server.keys[0])),
      `${part({ kid: "one" })}.${part(claims)}.${signature}`,
      `${part({ alg: "RS256", kid: "one" })}.${part(claims)}.${signature}`,
      await sign({}, { alg: "RS512" }, rsa).catch(() => "a.b.c"),
      await sign({}, { kid: "one" }, other),
      await sign({}, { kid: "two" }),
      await sign({}, { kid: "../../../../dev/null" }),
      await sign({}, { kid: "' OR 1=1 --" }),
      await sign({}, { kid: "k".repeat(5_000) }),
      `${part({ alg: "RS256", kid: "one", crit: ["x"], x: 1 })}.${part(claims)}.${signature}`,
      `${part({ alg: "RS256", jku: "https://evil.example/keys", jwk: server.keys[0] })}.${part(claims)}.${signature}`,
      `${good}x`,
      good.slice(0, -2),
      "e30.e30.e30",
    ]) {
      expect(await ask(token), token.slice(0, 80)).toBe("unauthenticated");
    }
  });

  test("names that stand twice, in the claims or in the header, though the signature is good", async () => {
    const { ask, clock } = await open();
    const exp = Math.floor(clock.time / 1_000) + 300;
    const head = '{"alg":"RS256","kid":"one"}';
    const body = (claims: string) => `{"iss":"${issuer}","aud":"dragoman","exp":${exp},${claims}}`;
    const signText = async (header: string, claims: string) => {
      const text = `${Buffer.from(header).toString("base64url")}.${Buffer.from(claims).toString("base64url")}`;
      const signature = await crypto.subtle.sign("RSASSA-PKCS1-v1_5", rsa.privateKey as CryptoKey, Buffer.from(text));
      return `${text}.${Buffer.from(signature).toString("base64url")}`;
    };
    expect(await ask(await signText(head, body('"sub":"ann"')))).toMatchObject({ owner: "ann" });
    for (const claims of [
      '"sub":"ann","sub":"root"',
      '"sub":"ann","roles":["gw-view"],"roles":["gw-admin"]',
      '"sub":"ann","\\u0073ub":"root"',
    ]) {
      expect(await ask(await signText(head, body(claims))), claims).toBe("unauthenticated");
    }
    expect(await ask(await signText('{"alg":"RS256","kid":"two","kid":"one"}', body('"sub":"ann"')))).toBe("unauthenticated");
  });

  test("claims of the wrong type, and tokens within tokens", async () => {
    const { sign, ask } = await open();
    const wrong: Record<string, unknown>[] = [
      { exp: "9999999999" },
      { exp: Number.MAX_VALUE },
      { nbf: "0" },
      { iss: [issuer] },
      { aud: { dragoman: true } },
      { aud: ["other", ["dragoman"]] },
      { sub: 7 },
      { sub: ["ann"] },
      { sub: "x".repeat(2_000) },
    ];
    for (const payload of wrong) {
      const token = await sign(payload as JWTPayload);
      const answer = await ask(token);
      // A time beyond all others is one still.
      if (payload.exp === Number.MAX_VALUE) expect(answer).toHaveProperty("id");
      else expect(answer, JSON.stringify(payload)).toBe("unauthenticated");
    }
    const inner = await sign();
    expect(
      await ask(await new SignJWT({ sub: inner }).setProtectedHeader({ alg: "RS256", kid: "one", cty: "JWT" }).sign(rsa.privateKey)),
    ).toBe("unauthenticated");
  });

  test("headers that name other keys are not followed", async () => {
    const { ask, server, clock, keyFetches } = await open();
    const exp = Math.floor(clock.time / 1_000) + 300;
    const forged = async (header: object) =>
      new SignJWT({ iss: issuer, aud: "dragoman", sub: "root", exp })
        .setProtectedHeader({ alg: "RS256", kid: "one", ...header })
        .sign(other.privateKey);
    const own = await exportJWK(other.publicKey);
    for (const header of [
      { jku: "https://evil.example/keys" },
      { x5u: "https://evil.example/chain.pem" },
      { jwk: own },
      { x5c: ["MIIB"] },
      { jku: "https://id.example/keys", jwk: own },
    ]) {
      expect(await ask(await forged(header)), JSON.stringify(header)).toBe("unauthenticated");
    }
    expect(server.fetches.filter((path) => !["/keys", "/realm/.well-known/openid-configuration"].includes(path))).toEqual([]);
    expect(keyFetches()).toBe(1);
  });

  test("a set with shared or private keys uses only the public ones", async () => {
    const { sign, ask, server } = await open();
    server.keys = [{ kty: "oct", k: "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0", kid: "hs" }, await jwk(rsa, { kid: "one" })];
    expect(await ask(await sign())).toHaveProperty("id");
    server.keys = [{ kty: "oct", k: "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0", kid: "hs" }];
    const alone = await open();
    alone.server.keys = server.keys;
    expect(await alone.ask(await alone.sign())).toBe("store_unavailable");
  });

  test("X4: an identity never crosses tokens with equal beginnings", async () => {
    const { sign, ask } = await open();
    const subjects = Array.from({ length: 50 }, (_, index) => `person-${index}`);
    const signed = await Promise.all(subjects.map((sub) => sign({ long: "x".repeat(500), sub })));
    for (const round of [1, 2]) {
      for (const [index, token] of signed.entries()) expect(await ask(token), `round ${round}`).toMatchObject({ owner: subjects[index] });
    }
  });
});

describe("C9: the issuer's keys", () => {
  test("are fetched once for many tokens at once, and again when they are old", async () => {
    const { sign, ask, keyFetches, clock } = await open();
    const signed = await Promise.all(Array.from({ length: 20 }, (_, index) => sign({ sub: `p${index}` })));
    await Promise.all(signed.map(ask));
    expect(keyFetches()).toBe(1);
    clock.time += 599_000;
    await ask(await sign({ sub: "later" }));
    expect(keyFetches()).toBe(1);
    clock.time += 2_000;
    await ask(await sign({ sub: "latest" }));
    expect(keyFetches()).toBe(2);
  });

  test("that are slow to come hold nobody up while old ones are at hand", async () => {
    const { sign, ask, server, clock } = await open();
    await ask(await sign());
    clock.time += 601_000;
    server.silent = true;
    const begin = performance.now();
    // One waits for all: each on its own would wait for longer than all of them together may take.
    for (let index = 0; index < 8; index++) expect(await ask(await sign({ sub: `s${index}` }))).toMatchObject({ owner: `s${index}` });
    expect(performance.now() - begin).toBeLessThan(7 * jwksLimits.patienceMs);
    expect(server.fetches.filter((path) => path === "/keys")).toHaveLength(2);
  });

  test("a new key id is looked for once", async () => {
    const { sign, ask, keyFetches, server, clock } = await open();
    await ask(await sign());
    server.keys = [await jwk(other, { kid: "three" })];
    clock.time += 1_000;
    const fresh = await Promise.all([sign({ sub: "a" }, { kid: "three" }, other), sign({ sub: "b" }, { kid: "three" }, other)]);
    for (const answer of await Promise.all(fresh.map(ask))) expect(answer).toHaveProperty("id");
    expect(keyFetches()).toBe(2);
  });

  test("X6, AUTH-4: a flood of made-up key ids causes at most one fetch in 30 seconds", async () => {
    const { sign, ask, keyFetches, clock } = await open();
    await ask(await sign());
    clock.time += 1_000;
    const before = keyFetches();
    const flood = await Promise.all(Array.from({ length: 200 }, (_, index) => sign({}, { kid: `made-up-${index}` })));
    for (const [index, token] of flood.entries()) {
      if (index % 50 === 0) clock.time += 5_000;
      expect(await ask(token)).toBe("unauthenticated");
    }
    expect(keyFetches() - before).toBe(1);
    clock.time += 30_000;
    await ask(flood[0] ?? "");
    expect(keyFetches() - before).toBe(2);
  });

  test("AUTH-4: the last good ones are used for a day while there are no others", async () => {
    const { sign, ask, server, clock, keyFetches } = await open();
    await ask(await sign());
    server.down = true;
    clock.time += 23 * 3_600_000;
    expect(await ask(await sign())).toHaveProperty("id");
    const asked = server.fetches.length;
    for (let turn = 0; turn < 20; turn++) expect(await ask(await sign({ sub: `s${turn}` }))).toHaveProperty("id");
    expect(server.fetches.length).toBe(asked);
    clock.time += 3_600_000;
    expect(await ask(await sign())).toBe("store_unavailable");
    server.down = false;
    clock.time += 31_000;
    const before = keyFetches();
    expect(await ask(await sign())).toHaveProperty("id");
    expect(keyFetches()).toBe(before + 1);
  });
});

test("C8: only three parts of base64url look like a token", () => {
  for (const text of ["a.b", "a.b.c.d", "a..c", "a.b.", "agk_id.secret", "dgm_x", "", "a.b.c d", `${"a".repeat(20_000)}.b.c`])
    expect(looksLikeToken(text)).toBe(false);
  expect(looksLikeToken("eyJ.eyJ.abc-_")).toBe(true);
});
