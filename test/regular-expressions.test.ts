/** X20 (reliability.md 4.7): no text that comes from outside makes a regular expression slow. New ones are found by themselves. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import { describe, expect, test, vi } from "vitest";
import { Secret } from "../src/core/secret.ts";
import { findPatterns } from "./find-patterns.ts";
import type { PatternTrial, SlowPattern } from "./try-patterns.ts";

const source = join(import.meta.dirname, "../src");

/** Where expressions are put together: what these make is looked at when their module is loaded. */
const makers = [
  "core/pricing.ts",
  "facade/match-path.ts",
  "providers/bedrock.ts",
  "providers/redactor.ts",
  "redaction/personal-data.ts",
  "redaction/secrets.ts",
];

type Pattern = PatternTrial["patterns"][number];

function literals(): Pattern[] {
  return sourceFiles().flatMap((name) => findPatterns(readFileSync(join(source, name), "utf8")).map(readLiteral));
}

function sourceFiles(): string[] {
  return readdirSync(source, { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".ts"));
}

function readLiteral(text: string): Pattern {
  const end = text.lastIndexOf("/");
  return { source: text.slice(1, end), flags: text.slice(end + 1) };
}

/** What `use` makes by `new RegExp`. */
async function made(use: () => Promise<unknown>): Promise<Pattern[]> {
  const patterns: Pattern[] = [];
  vi.resetModules();
  vi.stubGlobal(
    "RegExp",
    new Proxy(RegExp, {
      construct(target, words: [string, string?]) {
        const pattern = new target(...words);
        patterns.push({ source: pattern.source, flags: pattern.flags });
        return pattern;
      },
    }),
  );
  try {
    await use();
  } finally {
    vi.unstubAllGlobals();
  }
  return patterns;
}

/** Those that are slow, and the one that did not end. */
async function findSlow(patterns: readonly Pattern[], patienceMs: number): Promise<string[]> {
  const progress = new SharedArrayBuffer(4);
  const trial: PatternTrial = { patterns, progress };
  const worker = new Worker(new URL("./try-patterns.ts", import.meta.url), { workerData: trial });
  const name = (index: number) => `/${patterns[index]?.source}/${patterns[index]?.flags}`;
  const slow: string[] = [];
  worker.on("message", ({ index, ms, text }: SlowPattern) => slow.push(`${name(index)} takes ${Math.round(ms)} ms for ${text}`));
  const over = new Promise<void>((resolve, reject) => worker.on("exit", () => resolve()).on("error", reject));
  const timer = setTimeout(() => {
    slow.push(`${name(new Int32Array(progress)[0] ?? 0)} does not end`);
    void worker.terminate();
  }, patienceMs);
  await over;
  clearTimeout(timer);
  return slow;
}

describe("X20: regular expressions", () => {
  test("of the whole source need no more than each character's share", async () => {
    const all = new Map(literals().map((pattern) => [`/${pattern.source}/${pattern.flags}`, pattern]));
    expect(all.size).toBeGreaterThan(300);
    expect(await findSlow([...all.values()], 150_000)).toEqual([]);
  }, 180_000);

  test("that are put together are known, and do neither", async () => {
    const using = sourceFiles().filter((name) => /\bRegExp\(/.test(readFileSync(join(source, name), "utf8")));
    expect(using.sort()).toEqual(makers);
    const patterns = await made(async () => {
      await Promise.all(
        ["../src/core/pricing.ts", "../src/providers/bedrock.ts", "../src/redaction/personal-data.ts", "../src/redaction/secrets.ts"].map(
          (name) => import(name),
        ),
      );
      const { createPathMatcher } = await import("../src/facade/match-path.ts");
      const { createEndpoints } = await import("../src/facade/endpoints.ts");
      createPathMatcher(createEndpoints());
      const { Redactor } = await import("../src/providers/redactor.ts");
      new Redactor([new Secret("sk-canary-0123456789-0123456789")]);
    });
    for (const piece of ["us-gov", "requests|tool", "[^/]+", "canary", "earer"]) {
      expect(
        patterns.some(({ source }) => source.includes(piece)),
        piece,
      ).toBe(true);
    }
    expect(await findSlow(patterns, 50_000)).toEqual([]);
  }, 60_000);

  test("that are bad are seen", async () => {
    const bad = [/^(?:a+)+$/, /\s+$/, /^(?:\w+\.?)*@/].map(({ source, flags }) => ({ source, flags }));
    const fine = { source: "^a+$", flags: "" };
    for (const pattern of bad) expect(await findSlow([fine, pattern], 3_000)).not.toEqual([]);
    const text = "const a = b / c; // no /x/\nf(`$" + '{/in/.test("/no/")} /no/`); return /[/\\]]+/gu.test(a / b);';
    expect(findPatterns(text)).toEqual(["/in/", "/[/\\]]+/gu"]);
  }, 60_000);
});
