/** Where a port is bound, and whether only this machine can reach it. */
import { isIPv4, isIPv6 } from "node:net";

export interface ListenAddress {
  /** A name, an IPv4 address, or an IPv6 address without brackets. */
  readonly host: string;
  /** 0 lets the system choose. */
  readonly port: number;
}

/** `host:port` or `[ipv6]:port`; undefined where the text is neither. */
export function readListenAddress(text: string): ListenAddress | undefined {
  const found = /^(?:\[([^\]]+)\]|([^\s:[\]/@]+)):(\d{1,5})$/.exec(text);
  if (found === null) return undefined;
  const [, ipv6, name, digits] = found;
  const port = Number(digits);
  if (port > 65_535 || (ipv6 !== undefined && !isIPv6(ipv6))) return undefined;
  return { host: ipv6 ?? name ?? "", port };
}

export function writeListenAddress({ host, port }: ListenAddress): string {
  return isIPv6(host) ? `[${host}]:${port}` : `${host}:${port}`;
}

/** Only names and addresses that never leave the machine: `localhost`, 127.0.0.0/8, ::1. What is not known is not loopback. */
export function isLoopback(host: string): boolean {
  if (host.toLowerCase() === "localhost") return true;
  if (isIPv4(host)) return host.startsWith("127.");
  return isIPv6(host) && /^(?:0{0,4}:){1,7}0{0,3}1$/.test(host);
}
