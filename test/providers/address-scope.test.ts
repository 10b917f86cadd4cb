import { describe, expect, test } from "vitest";
import { classifyAddress } from "../../src/providers/address-scope.ts";

const global = [
  "1.1.1.1",
  "8.8.8.8",
  "9.255.255.255",
  "11.0.0.0",
  "100.63.255.255",
  "100.128.0.0",
  "104.18.6.192",
  "126.255.255.255",
  "128.0.0.1",
  "169.253.255.255",
  "169.255.0.0",
  "172.15.255.255",
  "172.32.0.0",
  "192.167.255.255",
  "192.169.0.0",
  "198.17.255.255",
  "198.20.0.0",
  "223.255.255.255",
  "2606:4700::6812:6c0",
  "2001:4860:4860::8888",
  "2a00:1450:4001:81b::200a",
  "[2606:4700:4700::1111]",
  "::ffff:8.8.8.8",
  "::ffff:808:808",
  "64:ff9b::8.8.8.8",
  "2002:0808:0808::1",
];
const privateOnes = [
  "10.0.0.1",
  "10.255.255.255",
  "100.64.0.1",
  "100.127.255.255",
  "127.0.0.1",
  "127.255.255.254",
  "172.16.0.1",
  "172.31.255.255",
  "192.168.1.1",
  "198.18.0.1",
  "::1",
  "0:0:0:0:0:0:0:1",
  "[::1]",
  "fc00::1",
  "fd12:3456:789a::1",
  "::ffff:127.0.0.1",
  "::ffff:7f00:1",
  "0:0:0:0:0:ffff:10.0.0.1",
  "64:ff9b::10.0.0.1",
  "64:ff9b::7f00:1",
  "64:ff9b:1::8.8.8.8",
  "2002:7f00:1::",
  "2002:c0a8:101::1",
  // Teredo: the client's address is stored inverted.
  "2001:0:4136:e378:8000:63bf:80ff:fffe",
  "2001:0:a00:1::f7f7:f7f7",
  "2606:4700::5efe:10.0.0.1",
  "2606:4700::200:5efe:192.168.0.1",
];
const never = [
  "0.0.0.0",
  "0.1.2.3",
  "169.254.0.1",
  "169.254.169.254",
  "169.254.170.2",
  "100.100.100.200",
  "192.0.0.192",
  "168.63.129.16",
  "192.0.0.1",
  "192.0.2.1",
  "192.88.99.1",
  "198.51.100.7",
  "203.0.113.9",
  "224.0.0.1",
  "239.255.255.255",
  "240.0.0.1",
  "255.255.255.255",
  "::",
  "::8.8.8.8",
  "::127.0.0.1",
  "::ffff:169.254.169.254",
  "::ffff:a9fe:a9fe",
  "::ffff:0:8.8.8.8",
  "fe80::1",
  "fe80::1%eth0",
  "febf::1",
  "fec0::1",
  "fd00:ec2::254",
  "fd20:ce::254",
  "fd00:42::42",
  "ff02::1",
  "2001:db8::1",
  "2001:2::1",
  "2001:10::1",
  "3fff::1",
  "4000::1",
  "64:ff9b::169.254.169.254",
  "64:ff9b:1:a9fe:a9:fe00::",
  "2002:a9fe:a9fe::1",
  "2606:4700::5efe:169.254.169.254",
  "100::1",
  "localhost",
  "127.1",
  "0x7f000001",
  "2130706433",
  "0177.0.0.1",
  "",
  "1.2.3.4.5",
  ":::",
];

describe("classifyAddress", () => {
  test.each(global)("%s is global", (address) => {
    expect(classifyAddress(address).reach).toBe("global");
  });

  test.each(privateOnes)("%s is private", (address) => {
    expect(classifyAddress(address).reach).toBe("private");
  });

  test.each(never)("%s is never connected to", (address) => {
    expect(classifyAddress(address).reach).toBe("never");
  });

  test.each([
    "http://2130706433/",
    "http://0x7f.1/",
    "http://0177.0.0.1/",
    "http://127.1/",
    "http://１２７.０.０.１/",
    "http://127.0.0.1./",
    "http://[::ffff:127.0.0.1]/",
  ])("the URL %s names a loopback address once it is parsed", (url) => {
    expect(classifyAddress(new URL(url).hostname).kind).toContain("loopback");
  });

  test("says what an address is", () => {
    expect(classifyAddress("169.254.169.254").kind).toBe("link-local");
    expect(classifyAddress("::ffff:10.0.0.1").kind).toBe("private (inside an IPv6 address)");
  });
});
