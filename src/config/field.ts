/** The kinds of values a configuration field can have; each says in one line what would be right. */
import { z } from "zod";
import { isAddressOrRange } from "../core/peer.ts";
import { Secret } from "../core/secret.ts";
import { readListenAddress } from "./listen-address.ts";

/** Fields that need care before they are checked. Describe only what wraps such a schema: a described copy is not in here. */
export const fieldKinds = z.registry<{ kind: "secret" | "path" }>();

/** What people put where a secret should be. A key like this would let everybody in, or nobody get an answer. */
const placeholder =
  /^(?:change[-_ ]?me|replace[-_ ]?me|placeholder|example|secret|password|token|api[-_ ]?key|todo|none|null|undefined|test|default|\[secret\]|<.*>|x+|\*+|\.+|(?:sk-)?x{3,}|sk-\.\.\.|.*your[-_ ].*(?:key|token|secret).*)$/i;

/** Text that a header can carry and nobody may see. */
function hiddenText(refuse: (text: string) => string | undefined) {
  return z
    .string()
    .superRefine((text, context) => {
      const message = text.trim() === "" ? "is empty; give a value, or leave the key out" : (refuseUnprintable(text) ?? refuse(text));
      if (message !== undefined) context.addIssue({ code: "custom", message });
    })
    .transform((value) => new Secret(value))
    .register(fieldKinds, { kind: "secret" });
}

function refuseUnprintable(text: string): string | undefined {
  if (/^[\x20-\x7e]+$/.test(text) && text === text.trim()) return undefined;
  return "has spaces around it, line breaks or characters beyond ASCII; no header can carry it";
}

/** A secret: read once, never shown. */
export const secretText = hiddenText((text) => (placeholder.test(text) ? "is a placeholder, not a secret; give the real one" : undefined));

/** The value of a header that the operator adds: often a credential, so it is treated as one. */
export const headerValue = hiddenText(() => undefined);

/** A path of a file or directory, relative to the file that names it. */
export const pathText = z.string().min(1, "is empty; give a path").register(fieldKinds, { kind: "path" });

/** A name of a provider: the first half of `provider/model`. */
export const providerName = z
  .string()
  .regex(/^[a-z0-9][a-z0-9._-]{0,62}$/, "is not a name; use up to 63 lower-case letters, digits, dots, dashes and underscores");

/** A name of a route or alias: whatever a client may write into `model`. */
export const modelName = z
  .string()
  .regex(/^[^\s@][^\s]{0,255}$/, "is not a name; use up to 256 characters without spaces, not beginning with @");

/** `provider/model`; the model may hold further slashes. */
export const modelReference = z.string().regex(/^@?[^\s/@]+\/\S+$/, "is not of the form provider/model");

export const listenAddress = z.string().transform((text, context) => {
  const address = readListenAddress(text);
  if (address !== undefined) return address;
  context.addIssue({ code: "custom", message: "is not host:port; write 127.0.0.1:8080, [::1]:8080 or 0.0.0.0:8080" });
  return z.NEVER;
});

/** The origin of a browser page, exactly as the Origin header has it. */
export const webOrigin = z.string().superRefine((text, context) => {
  if (!URL.canParse(text) || new URL(text).origin !== text) {
    context.addIssue({
      code: "custom",
      message: "is not an exact origin; write scheme, host and port only, as in https://app.example.com",
    });
  }
});

/** An http(s) URL of an upstream: no credentials, query or fragment in it. */
export const baseUrl = z.string().superRefine((text, context) => {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !["http:", "https:"].includes(url.protocol)) {
    context.addIssue({ code: "custom", message: "is not an http or https URL; write it as in https://host:port/v1" });
  } else if (url.username !== "" || url.password !== "") {
    context.addIssue({ code: "custom", message: "holds a user name or password; put the credential into api_key or headers" });
  } else if (url.search !== "" || url.hash !== "") {
    context.addIssue({ code: "custom", message: "has a query or fragment; write only scheme, host, port and path" });
  }
});

/** A host as a URL has it, with its port: IPv6 addresses in brackets. */
export const hostAndPort = z
  .string()
  .regex(
    /^(?:[a-z0-9][a-z0-9.-]{0,252}|\[[0-9a-f:.]+\]):[1-9]\d{0,4}$/,
    "is not host:port in lower case; write images.local:8000 or 10.0.0.5:80",
  );

/** A name of an HTTP header that the operator may add to upstream requests. */
export const headerName = z
  .string()
  .regex(/^[A-Za-z0-9-]{1,128}$/, "is not a header name; use letters, digits and dashes")
  .regex(
    /^(?!(?:host|connection|content-length|transfer-encoding|te|upgrade|keep-alive|trailer|expect|proxy-[a-z-]+)$)/i,
    "is set by the gateway; leave it out",
  );

/** A span in seconds; fractions are fine. */
export function seconds(least: number, most: number) {
  return z.number().min(least).max(most);
}

/** A whole number in a range. */
export function count(least: number, most: number) {
  return z.int().min(least).max(most);
}

/** A span as people write it: `30s`, `10m`, `1h`; a number alone is seconds. In seconds, from one to a day. */
export const duration = z.union([z.string(), z.number()]).transform((value, context) => {
  const found = /^(\d+(?:\.\d+)?)(s|m|h)?$/.exec(String(value));
  const unit = { s: 1, m: 60, h: 3_600 }[found?.[2] ?? "s"] ?? 1;
  const span = Number(found?.[1]) * unit;
  if (span >= 1 && span <= 86_400) return span;
  context.addIssue({ code: "custom", message: "is no span from a second to a day; write it as in 30s, 10m or 1h" });
  return z.NEVER;
});

/** An address or a range of addresses. */
export const addressRange = z.string().refine(isAddressOrRange, "is no address and no range; write it as in 192.0.2.7 or 10.0.0.0/8");

/** A name of a tenant or project. */
export const tenantName = z
  .string()
  .regex(/^[a-z0-9][a-z0-9_.-]{0,63}$/, "is not a name; use up to 64 lower-case letters, digits, dots, dashes and underscores");

const mostWorkers = 256;

/** How many processes: a whole number, or `auto`. */
export const workerCount = z.union([z.string(), z.number()]).transform((value, context): number | "auto" => {
  const count = Number(value);
  if (value === "auto") return value;
  if (Number.isInteger(count) && count >= 1 && count <= mostWorkers) return count;
  context.addIssue({ code: "custom", message: `is no number of workers; write 1 to ${mostWorkers}, or auto for one per core` });
  return z.NEVER;
});
