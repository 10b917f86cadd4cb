#!/usr/bin/env node
/** Where the program begins: the Node version first, because everything else may need a newer one to load at all. */
const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
if (major < 22 || (major === 22 && minor < 19)) {
  console.error(`dragoman needs Node 22.19 or newer; this is ${process.versions.node}`);
  process.exit(78);
}
// Dynamic on purpose: a static import would be loaded before the check.
const { run } = await import("./cli/run.ts");
const exitCode = await run(process.argv.slice(2));
// What a slow reader of a pipe has not taken yet would be lost with the process.
if (process.stdout.writableLength > 0) await new Promise((resolve) => process.stdout.write("", resolve));
process.exit(exitCode);

export {};
