/**
 * How far an IP address reaches, by the special-purpose registries of IANA (RFC 6890 and its successors). Text forms that
 * hide an IPv4 address inside an IPv6 one are judged by both.
 */
import { isIP } from "node:net";

/** `global` is the internet; `private` only what was configured by name; `never` nothing at all. */
export type Reach = "global" | "private" | "never";

export interface AddressScope {
  readonly reach: Reach;
  /** What the address is, for people: `loopback`, `link-local`. */
  readonly kind: string;
}

interface Range extends AddressScope {
  readonly bytes: readonly number[];
  readonly bits: number;
}

const global: AddressScope = { reach: "global", kind: "global" };
const unreadable: AddressScope = { reach: "never", kind: "not an IP address" };

function range4(text: string, reach: Reach, kind: string): Range {
  const [address = "", bits = "32"] = text.split("/");
  return { bytes: bytes4(address), bits: Number(bits), reach, kind };
}

function range6(text: string, reach: Reach, kind: string): Range {
  const [address = "", bits = "128"] = text.split("/");
  return { bytes: bytes6(address) ?? [], bits: Number(bits), reach, kind };
}

/** The first match holds. https://www.iana.org/assignments/iana-ipv4-special-registry */
const ranges4: readonly Range[] = [
  range4("169.254.0.0/16", "never", "link-local"),
  range4("100.100.100.200", "never", "a metadata service"),
  range4("192.0.0.192", "never", "a metadata service"),
  range4("168.63.129.16", "never", "a metadata service"),
  range4("0.0.0.0/8", "never", "unspecified"),
  range4("10.0.0.0/8", "private", "private"),
  range4("100.64.0.0/10", "private", "shared"),
  range4("127.0.0.0/8", "private", "loopback"),
  range4("172.16.0.0/12", "private", "private"),
  range4("192.168.0.0/16", "private", "private"),
  range4("198.18.0.0/15", "private", "for benchmarks"),
  range4("192.0.0.0/24", "never", "reserved"),
  range4("192.0.2.0/24", "never", "for documentation"),
  range4("192.88.99.0/24", "never", "reserved"),
  range4("198.51.100.0/24", "never", "for documentation"),
  range4("203.0.113.0/24", "never", "for documentation"),
  range4("224.0.0.0/4", "never", "multicast"),
  range4("240.0.0.0/4", "never", "reserved"),
];

/** The first match holds; what none matches is reserved. https://www.iana.org/assignments/iana-ipv6-special-registry */
const ranges6: readonly Range[] = [
  range6("fe80::/10", "never", "link-local"),
  range6("fd00:ec2::254", "never", "a metadata service"),
  range6("fd20:ce::254", "never", "a metadata service"),
  range6("fd00:42::42", "never", "a metadata service"),
  range6("::", "never", "unspecified"),
  range6("::1", "private", "loopback"),
  range6("::ffff:0:0/96", "global", "IPv4-mapped"),
  range6("64:ff9b::/96", "global", "NAT64"),
  range6("64:ff9b:1::/48", "private", "local NAT64"),
  range6("fc00::/7", "private", "private"),
  range6("ff00::/8", "never", "multicast"),
  range6("2001::/32", "global", "Teredo"),
  range6("2001:db8::/32", "never", "for documentation"),
  range6("2001::/23", "never", "reserved"),
  range6("2002::/16", "global", "6to4"),
  range6("3fff::/20", "never", "for documentation"),
  range6("2000::/3", "global", "global"),
];

/** Where IPv4 addresses stand inside the ranges that hold them: RFC 4291, 6052, 8215, 3056, 4380. */
const embeddings: readonly { readonly within: Range; read(bytes: readonly number[]): readonly number[][] }[] = [
  { within: range6("::ffff:0:0/96", "global", ""), read: (bytes) => [bytes.slice(12)] },
  { within: range6("::/96", "never", ""), read: (bytes) => [bytes.slice(12)] },
  { within: range6("64:ff9b::/96", "global", ""), read: (bytes) => [bytes.slice(12)] },
  {
    within: range6("64:ff9b:1::/48", "private", ""),
    // Its length is the network's choice; where the address does not stand, there are zeros.
    read: (bytes) =>
      [bytes.slice(12), [bytes[6], bytes[7], bytes[9], bytes[10]] as number[]].filter((inner) => inner.some((byte) => byte !== 0)),
  },
  { within: range6("2002::/16", "global", ""), read: (bytes) => [bytes.slice(2, 6)] },
  { within: range6("2001::/32", "global", ""), read: (bytes) => [bytes.slice(4, 8), bytes.slice(12).map((byte) => byte ^ 0xff)] },
];

const severity = { global: 0, private: 1, never: 2 } as const;

/** `address` is what a resolver or `URL.hostname` gives, brackets and zone allowed. What is no address is `never`. */
export function classifyAddress(address: string): AddressScope {
  const bare = address.replace(/^\[|\]$/g, "").replace(/%.*$/, "");
  const version = isIP(bare);
  if (version === 4) return classify4(bytes4(bare));
  const bytes = version === 6 ? bytes6(bare) : undefined;
  return bytes === undefined ? unreadable : classify6(bytes);
}

function classify4(bytes: readonly number[]): AddressScope {
  return ranges4.find((range) => within(bytes, range)) ?? global;
}

function classify6(bytes: readonly number[]): AddressScope {
  let scope: AddressScope = ranges6.find((range) => within(bytes, range)) ?? { reach: "never", kind: "reserved" };
  // ::1 and :: are no IPv4 addresses, although they lie in the range of the compatible ones.
  const exact = scope.kind === "loopback" || scope.kind === "unspecified";
  for (const inner of exact ? [] : embedded(bytes)) {
    const verdict = classify4(inner);
    if (severity[verdict.reach] >= severity[scope.reach]) scope = { ...verdict, kind: `${verdict.kind} (inside an IPv6 address)` };
  }
  return scope;
}

function embedded(bytes: readonly number[]): readonly number[][] {
  const found = embeddings.filter((embedding) => within(bytes, embedding.within)).flatMap((embedding) => embedding.read(bytes));
  // ISATAP, RFC 5214: the interface identifier 0000:5efe or 0200:5efe before an IPv4 address.
  const isatap = (bytes[8] === 0 || bytes[8] === 2) && bytes[9] === 0 && bytes[10] === 0x5e && bytes[11] === 0xfe;
  if (isatap) found.push(bytes.slice(12));
  return found;
}

function within(bytes: readonly number[], range: Range): boolean {
  let left = range.bits;
  for (let index = 0; left > 0; index++, left -= 8) {
    const mask = left >= 8 ? 0xff : (0xff << (8 - left)) & 0xff;
    if (((bytes[index] ?? 0) & mask) !== ((range.bytes[index] ?? 0) & mask)) return false;
  }
  return true;
}

function bytes4(address: string): number[] {
  return address.split(".").map(Number);
}

/** The 16 bytes of an address that `isIP` takes. */
function bytes6(address: string): number[] | undefined {
  const dotted = /^(.*:)(\d+\.\d+\.\d+\.\d+)$/.exec(address);
  let text = address;
  if (dotted !== null) {
    const [a = 0, b = 0, c = 0, d = 0] = bytes4(dotted[2] ?? "");
    text = `${dotted[1]}${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`;
  }
  const [head = "", tail] = text.split("::");
  const left = groups(head);
  const right = tail === undefined ? [] : groups(tail);
  const missing = 8 - left.length - right.length;
  if (missing < 0 || (tail === undefined && missing !== 0)) return undefined;
  return [...left, ...new Array<number>(missing).fill(0), ...right].flatMap((group) => [group >> 8, group & 0xff]);
}

function groups(text: string): number[] {
  return text === "" ? [] : text.split(":").map((group) => Number.parseInt(group, 16));
}
