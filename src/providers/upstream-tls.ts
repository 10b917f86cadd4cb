/** How the gateway and an upstream know each other over TLS. */
import { createSecureContext, type SecureContextOptions } from "node:tls";
import type { Secret } from "../core/secret.ts";

export interface UpstreamTls {
  /** PEM certificates to trust instead of the system's. */
  readonly certificateAuthority?: string | undefined;
  /** What is shown to upstreams that ask for a certificate: PEM, the key not encrypted. */
  readonly clientCertificate?: { readonly certificate: string; readonly key: Secret } | undefined;
}

/** As node:tls takes them. */
export function contextOptions({ certificateAuthority, clientCertificate }: UpstreamTls): SecureContextOptions {
  return {
    minVersion: "TLSv1.2",
    ...(certificateAuthority === undefined ? {} : { ca: certificateAuthority }),
    ...(clientCertificate === undefined ? {} : { cert: clientCertificate.certificate, key: clientCertificate.key.reveal() }),
  };
}

/** Throws Error where the PEM texts cannot be used, or key and certificate do not belong together. */
export function checkTls(tls: UpstreamTls): void {
  createSecureContext(contextOptions(tls));
}
