/** How much of a call's content is kept, and that nothing is kept before it was redacted. */
import { create } from "@bufbuild/protobuf";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { CallOptionsSchema, Retention } from "../../gen/dragoman/v1/call_pb.ts";
import { GenerateRequestSchema, Role } from "../../gen/dragoman/v1/generate_pb.ts";
import { parseJson, writeJson } from "../../src/core/json.ts";
import { retentions } from "../../src/core/request-log-store.ts";
import { createRedactor } from "../../src/redaction/redactor.ts";
import { redactJson } from "../../src/request-log/redact-json.ts";
import { retentionOf } from "../../src/request-log/retention.ts";
import { redactStart, summarise } from "../../src/request-log/summary.ts";
import { lastUserText } from "../../src/request-log/write-content.ts";

const redactor = createRedactor();
const redact = (text: string) => redactor.redact(text).text;
const secret = "sk-canary-0123456789abcdef0123456789";

describe("retention", () => {
  const asked = { none: Retention.NONE, metadata: Retention.METADATA, full: Retention.FULL };

  test("is the lesser of what is asked for and what is allowed", () => {
    for (const [want, wanted] of retentions.entries()) {
      for (const [most, max] of retentions.entries()) {
        const options = create(CallOptionsSchema, { retention: asked[wanted] });
        expect(retentionOf(options, { byDefault: "full", max })).toBe(retentions[Math.min(want, most)]);
      }
    }
  });

  test("is the operator's default where a call does not say, and no more than is allowed either", () => {
    expect(retentionOf(undefined, { byDefault: "metadata", max: "full" })).toBe("metadata");
    expect(retentionOf(create(CallOptionsSchema), { byDefault: "full", max: "none" })).toBe("none");
  });
});

describe("a summary", () => {
  test("is the first 256 characters", () => {
    expect(summarise("a".repeat(300), redact)).toBe("a".repeat(256));
    expect(summarise("short", redact)).toBe("short");
  });

  test("cuts no character in two", () => {
    const summary = summarise(`${"a".repeat(255)}😀${"b".repeat(100)}`, redact);
    expect(summary).toBe("a".repeat(255));
  });

  test("holds no part of a secret, wherever it stands", () => {
    for (let before = 0; before <= 300; before += 3) {
      const summary = summarise(`${"word ".repeat(60).slice(0, before)} ${secret} ${"more ".repeat(2_000)}`, redact);
      expect(summary).not.toContain("canary");
      expect(summary.length).toBeLessThanOrEqual(256);
    }
  });

  test("holds no part of a secret that stands where reading ends", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 60 }), fc.integer({ min: -60, max: 60 }), (limit, offset) => {
        const text = "word ".repeat(1_000).slice(0, limit + 4_096 + offset);
        expect(redactStart(`${text} ${secret} ${"more ".repeat(200)}`, limit, redact)).not.toContain("canary");
      }),
    );
  });
});

describe("JSON", () => {
  const clean = (value: Parameters<typeof redactJson>[0], left = 10_000) => redactJson(value, { left }, redact);

  test("is redacted in strings, names, numbers and JSON inside of strings", () => {
    expect(
      clean({
        text: `key ${secret}`,
        [secret]: true,
        number: 4111111111111111,
        arguments: JSON.stringify({ token: secret, card: 4111111111111111, n: 1 }),
        list: [secret, 1, null],
      }),
    ).toEqual({
      text: "key [REDACTED_SECRET]",
      "[REDACTED_SECRET]": true,
      number: "[REDACTED_CARD]",
      arguments: '{"token":"[REDACTED_SECRET]","card":"[REDACTED_CARD]","n":1}',
      list: ["[REDACTED_SECRET]", 1, null],
    });
  });

  test("stays JSON, whatever it is and however little is kept of it", () => {
    fc.assert(
      fc.property(fc.json({ maxDepth: 4 }), fc.integer({ min: 0, max: 300 }), (text, left) => {
        const kept = writeJson(clean(parseJson(JSON.stringify(JSON.parse(text))), left));
        expect(() => JSON.parse(kept)).not.toThrow();
      }),
    );
  });

  test("is kept up to a length", () => {
    const kept = writeJson(clean({ a: "x".repeat(5_000), b: "y", c: ["z"] }, 1_000));
    expect(kept.length).toBeLessThan(1_200);
    expect(JSON.parse(kept).a).toMatch(/^x{900,}… \[5000 characters\]$/);
  });
});

describe("the last text of the user", () => {
  const text = (value: string) => ({ part: { case: "text" as const, value } });

  test("is in the last message of a user that has one", () => {
    const request = create(GenerateRequestSchema, {
      messages: [
        { role: Role.USER, parts: [text("first")] },
        { role: Role.USER, parts: [text("last"), text("part")] },
        { role: Role.USER, parts: [{ part: { case: "toolResult", value: { toolCallId: "1", content: [text("result")] } } }] },
        { role: Role.ASSISTANT, parts: [text("answer")] },
      ],
    });
    expect(lastUserText(request)).toBe("last\npart");
  });

  test("may be missing", () => {
    expect(lastUserText(create(GenerateRequestSchema, { messages: [{ role: Role.ASSISTANT, parts: [text("x")] }] }))).toBe("");
  });
});
