/** Lists of addresses and CIDR ranges, and the address of a client behind proxies that are trusted. */
import { BlockList, isIP, isIPv4 } from "node:net";
import { isAddressOrRange, type Peer, plainAddress } from "../core/peer.ts";

export interface AddressList {
  has(address: string): boolean;
}

/** Throws RangeError for an entry that is neither; the caller has checked them. */
export function createAddressList(entries: readonly string[]): AddressList {
  const list = new BlockList();
  for (const entry of entries) {
    if (!isAddressOrRange(entry)) throw new RangeError("an entry is no address and no range");
    const [address = "", bits] = entry.split("/");
    const family = isIPv4(address) ? "ipv4" : "ipv6";
    if (bits === undefined) list.addAddress(address, family);
    else list.addSubnet(address, Number(bits), family);
  }
  return {
    has(address) {
      const family = isIP(address);
      return family !== 0 && list.check(address, family === 4 ? "ipv4" : "ipv6");
    },
  };
}

/**
 * Where a request comes from: the socket's address; where that is a trusted proxy's, the last address of x-forwarded-for
 * that is none of theirs. What stands before it anybody could have written.
 */
export function clientAddress({ address, forwardedFor }: Pick<Peer, "address" | "forwardedFor">, proxies: AddressList | undefined): string {
  if (proxies === undefined || !proxies.has(address)) return address;
  const hops = forwardedFor === "" ? [] : forwardedFor.split(",").map((hop) => plainAddress(withoutPort(hop.trim())));
  let nearest = address;
  for (const hop of hops.reverse()) {
    // What a proxy wrote and is no address hides who came before it.
    if (isIP(hop) === 0) return nearest;
    nearest = hop;
    if (!proxies.has(hop)) return hop;
  }
  return nearest;
}

/** Some proxies write `192.0.2.1:5555` and `[2001:db8::1]:5555`. */
function withoutPort(hop: string): string {
  const [, inner, dotted] = /^\[([0-9A-Fa-f:.%]+)\](?::\d{1,5})?$|^(\d+\.\d+\.\d+\.\d+):\d{1,5}$/.exec(hop) ?? [];
  return inner ?? dotted ?? hop;
}
