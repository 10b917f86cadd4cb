/** What an installation brings along (reliability.md 2.10). */
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";

interface LockedPackage {
  /** Only for development. */
  readonly dev?: boolean;
  readonly hasInstallScript?: boolean;
  readonly resolved?: string;
  readonly link?: boolean;
}

const lock = JSON.parse(readFileSync(new URL("../package-lock.json", import.meta.url), "utf8")) as {
  readonly packages: Readonly<Record<string, LockedPackage>>;
};
const installed = Object.entries(lock.packages).filter(([path, { dev }]) => path !== "" && dev !== true);
const nameOf = (path: string) => path.slice(path.lastIndexOf("node_modules/") + "node_modules/".length);

test("X21: protobufjs, which makes code of schemas, is not among what is installed to run", () => {
  const all = Object.keys(lock.packages).map(nameOf);
  // It is there for development, so its absence is seen and not merely assumed.
  expect(all).toContain("protobufjs");
  expect(installed.length).toBeGreaterThan(15);
  expect(installed.map(([path]) => nameOf(path)).filter((name) => /^(?:protobufjs|@protobufjs\/.*)$/.test(name))).toEqual([]);
});

test("nothing that is installed to run brings a script of its own", () => {
  expect(installed.filter(([, { hasInstallScript }]) => hasInstallScript === true).map(([path]) => path)).toEqual([]);
});
