/** Who may call. */
import { z } from "zod";
import { minApiKeyLength } from "../../core/access.ts";
import { roles } from "../../core/principal.ts";
import { scopes } from "../../core/scope.ts";
import { tokenAlgorithms } from "../../core/token-algorithm.ts";
import { baseUrl, duration, pathText, secretText, tenantName } from "../field.ts";

const pepper = secretText.refine((secret) => secret.reveal().length >= 32, "is too short; use at least 32 characters");

const role = z.enum(roles);

const scope = z.enum(scopes);

const textList = z
  .union([z.string().min(1), z.array(z.string().min(1))])
  .transform((value) => (typeof value === "string" ? [value] : value));

const certificateGrant = z.strictObject({
  tenant: tenantName.optional().describe("Its tenant; default by default"),
  project: tenantName.optional().describe("Its project; default by default"),
  roles: z.array(role).default([]).describe("What it may do; member by default"),
  scopes: z.array(scope).default([]).describe("What it may be used for; by default what its roles imply"),
  models: z.array(z.string().min(1)).default([]).describe("Models that it may name; all by default"),
  endpoints: z.array(z.string().min(1)).default([]).describe("METHOD /path that it may call; all by default"),
});

export const auth = z
  .strictObject({
    enabled: z.boolean().optional().describe("Whether callers need a key; by default exactly when a way to get in is configured here"),
    api_keys_file: pathText.optional().describe("File with one `<sha256-hex or key> <scope,scope>` per line; re-read when it changes"),
    api_key: secretText
      .refine((secret) => secret.reveal().length >= minApiKeyLength, `is too short; use at least ${minApiKeyLength} characters`)
      .optional()
      .describe("One key with every scope; also DRAGOMAN_API_KEY"),
    pepper: pepper
      .optional()
      .describe("Secret that stored keys are hashed with; the same on every replica. By default a file in data_dir, made once"),
    previous_peppers: z
      .array(pepper)
      .default([])
      .describe(
        "Peppers that keys were hashed with before, or will be: such keys work, and are hashed with auth.pepper when they are used",
      ),
    oidc_issuer: baseUrl.optional().describe("Whose tokens are taken, exactly as their iss claim says"),
    oidc_audience: textList.default([]).describe("What a token's aud claim must name: one of these"),
    oidc_jwks_url: baseUrl.optional().describe("Where the issuer's keys are; by default its discovery document says"),
    oidc_jwks_ttl: duration.prefault("10m").describe("How long the issuer's keys are used before they are fetched again"),
    oidc_algorithms: z
      .array(z.enum(tokenAlgorithms))
      .min(1)
      .default(["RS256", "ES256", "EdDSA"])
      .describe("Signature algorithms of tokens; others are refused"),
    oidc_roles_claim: z.string().min(1).default("roles").describe("Claim that lists roles; dots lead into objects"),
    oidc_roles: z.record(z.string().min(1), role).default({}).describe("Which value of that claim is which role"),
    oidc_default_role: role.default("member").describe("Role of whoever has none of them"),
    oidc_groups_claim: z.string().min(1).default("groups").describe("Claim that lists groups"),
    oidc_groups: z.record(z.string().min(1), z.array(scope)).default({}).describe("Scopes by group, beside those of scope and scp"),
    oidc_tenant_claim: z.string().default("").describe("Claim that names the tenant; without it everybody is of the tenant default"),
    oidc_project_claim: z.string().default("").describe("Claim that names the project"),
    mtls: z
      .record(z.string().regex(/^[\x21-\x7e]{1,2048}$/), certificateGrant)
      .default({})
      .describe("Services by the SPIFFE id or DNS name of their client certificate"),
  })
  .superRefine(({ oidc_issuer: issuer, oidc_audience: audience }, context) => {
    if (issuer === undefined || audience.length > 0) return;
    const message = "is missing; name what the issuer's tokens for this gateway say, or it would take those for others";
    context.addIssue({ code: "custom", path: ["oidc_audience"], message });
  })
  .transform((fields) => ({ ...fields, enabled: fields.enabled ?? hasWayIn(fields) }));

/** Whether anybody can get in without a key of the store. */
export function hasWayIn(auth: { api_keys_file?: unknown; api_key?: unknown; oidc_issuer?: unknown; mtls: object }): boolean {
  const { api_keys_file: file, api_key: key, oidc_issuer: issuer, mtls } = auth;
  return file !== undefined || key !== undefined || issuer !== undefined || Object.keys(mtls).length > 0;
}
