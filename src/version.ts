import { readFileSync } from "node:fs";

/** Of the product, as package.json says. */
export const version: string = readVersion();

/** package.json stands one level above src, and two above dist/src. */
function readVersion(): string {
  for (const path of ["../package.json", "../../package.json"]) {
    try {
      const { name, version: found } = JSON.parse(readFileSync(new URL(path, import.meta.url), "utf8"));
      if (name === "dragoman" && typeof found === "string") return found;
    } catch {
      // Not this level.
    }
  }
  return "0.0.0";
}
