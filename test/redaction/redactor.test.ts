import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { secretKinds } from "../../src/core/redactor.ts";
import { createRedactor } from "../../src/redaction/redactor.ts";

const upstreamKey = "canary/Upstream+Key==0001?of&these tests";
const redactor = createRedactor({ secrets: [upstreamKey, "short"] });
const redact = (text: string) => redactor.redact(text).text;

describe("secrets", () => {
  const key = "0123456789abcdefABCDEF0123456789abcdefABCDEF";
  const pem = `-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA${key}\n${key}\n-----END RSA PRIVATE KEY-----`;
  const jwt = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.SflKxwRJSMeKKF2QT4fwpMeJf36POk6yJV_adQssw5c";

  test.each([
    ["OpenAI", `sk-${key}`],
    ["OpenAI, of a project", `sk-proj-${key}`],
    ["Anthropic", `sk-ant-api03-${key}-AA`],
    ["without a digit", "sk-canary-abcdefghijklmnop"],
    ["Stripe", `sk_live_${key}`],
    ["GitHub", `ghp_${key}`],
    ["GitHub, of an app", `ghs_${key}`],
    ["GitHub, fine-grained", `github_pat_11AAAAAAA_${key}`],
    ["AWS", "AKIAIOSFODNN7EXAMPLE"],
    ["Google", `AIzaSy${key.slice(0, 33)}`],
    ["Google, OAuth", `ya29.a0${key}`],
    ["this gateway", `dgm_live_abcdefghijkl_${key.slice(0, 43)}_0a1b2c`],
    ["Cognitora", `cgn-${key.slice(0, 32)}`],
    ["nenya", `nk-${key}`],
    ["Agumbe", `agk_abc123def.${key}`],
    ["Kurral", `kr_live_${key}`],
    ["Slack", `xoxb-123456789012-${key}`],
  ])("a key of %s", (_, secret) => {
    expect(redact(`before ${secret} after`)).toBe("before [REDACTED_SECRET] after");
    expect(redact(`{"k":"${secret}"}`)).toBe('{"k":"[REDACTED_SECRET]"}');
  });

  test.each([
    ["a bearer token", `Authorization: Bearer ${key}`, "Authorization: Bearer [REDACTED_SECRET]"],
    ["in JSON", `{"x-api-key": "${key}"}`, '{"x-api-key": "[REDACTED_SECRET]"}'],
    ["in JSON in JSON", `{\\"api_key\\":\\"${key}\\"}`, '{\\"api_key\\":\\"[REDACTED_SECRET]\\"}'],
    ["a variable", `AWS_SECRET_ACCESS_KEY=${key}/x`, "AWS_SECRET_ACCESS_KEY=[REDACTED_SECRET]"],
    ["a password", "password: hunter2hunter2", "password: [REDACTED_SECRET]"],
    ["a query", `https://x.example/v1?key=${key}&alt=sse`, "https://x.example/v1?key=[REDACTED_SECRET]&alt=sse"],
  ])("named as what it is: %s", (_, text, clean) => {
    expect(redact(text)).toBe(clean);
  });

  test("private keys and web tokens have labels of their own", () => {
    expect(redact(`a ${pem} b`)).toBe("a [REDACTED_PRIVATE_KEY] b");
    expect(redact(`a ${jwt} b`)).toBe("a [REDACTED_JWT] b");
    expect(redact(`two: ${pem} and ${pem}.`)).toBe("two: [REDACTED_PRIVATE_KEY] and [REDACTED_PRIVATE_KEY].");
  });

  test("a private key that was cut off goes to the end of the text", () => {
    expect(redact(`a ${pem.slice(0, 70)}`)).toBe("a [REDACTED_PRIVATE_KEY]");
  });

  test.each([
    "an API key is required, see the documentation",
    "sk-learn is a library, and so is scikit-learn",
    "the bearer of bad news",
    "version 1.2.3 of 2024-01-15 10:30:00 at 192.168.1.1:8080",
    "commit 2dd11ec, issue #4, 1,234,567.89 dollars, 1700000000 seconds",
    "f(x) = eyJ + 3",
    'const authorization = headers.authorization ?? "";',
    "apiKey: this._options.apiKey,",
    "int32: [-2147483648, 2147483647], uint32: [0, 4294967295]",
    "2147483647",
    "GB82 WEST is no account, nor is DE00 WXYZ ABCD EFGH IJKL MN",
  ])("ordinary text stays: %s", (text) => {
    expect(redactor.redact(text)).toEqual({ text, found: {} });
  });
});

describe("personal data", () => {
  test.each([
    ["ada.lovelace+test@mail.example.org", "[REDACTED_EMAIL]"],
    ["jürgen@straße.example", "[REDACTED_EMAIL]"],
    ["123-45-6789", "[REDACTED_SSN]"],
    ["4111 1111 1111 1111", "[REDACTED_CARD]"],
    ["4111-1111-1111-1111", "[REDACTED_CARD]"],
    ["378282246310005", "[REDACTED_CARD]"],
    ["GB82 WEST 1234 5698 7654 32", "[REDACTED_IBAN]"],
    ["DE89370400440532013000", "[REDACTED_IBAN]"],
    ["NO93 8601 1117 947", "[REDACTED_IBAN]"],
    ["FR14 2004 1010 0505 0001 3M02 606", "[REDACTED_IBAN]"],
    ["+1 (555) 010-0199", "[REDACTED_PHONE]"],
    ["+49 30 901820", "[REDACTED_PHONE]"],
    ["(555) 010-0199", "[REDACTED_PHONE]"],
    ["555.010.0199", "[REDACTED_PHONE]"],
    ["2125550199", "[REDACTED_PHONE]"],
  ])("%s", (text, label) => {
    expect(redact(`see ${text}, please`)).toBe(`see ${label}, please`);
  });

  test("a phone number does not eat the digits of a card, nor a code beside it", () => {
    expect(redact("card 4111 1111 1111 1111 123, phone 555-010-0199")).toBe("card [REDACTED_CARD] 123, phone [REDACTED_PHONE]");
  });

  test("digits with a wrong check digit are no card", () => {
    expect(redact("4111 1111 1111 1112")).not.toContain("CARD");
  });

  test("what was found is counted by kind", () => {
    expect(redactor.redact("a@b.example, c@d.example and sk-0123456789ab").found).toEqual({ email: 2, secret: 1 });
  });

  test("kinds are looked for as asked", () => {
    const text = "a@b.example sk-0123456789ab";
    expect(redactor.redact(text, secretKinds).text).toBe("a@b.example [REDACTED_SECRET]");
    expect(redactor.redact(text, ["email"]).text).toBe("[REDACTED_EMAIL] sk-0123456789ab");
  });
});

describe("what only looks like it", () => {
  const unharmed = (text: string): void => {
    expect(redactor.redact(text), text).toEqual({ text, found: {} });
  };
  const hasLetter = (text: string) => /[a-f]/.test(text);

  test("UUIDs and digests", () => {
    fc.assert(fc.property(fc.uuid().filter(hasLetter), unharmed), { numRuns: 3_000 });
    const digest = fc.uint8Array({ minLength: 16, maxLength: 64 }).map((bytes) => Buffer.from(bytes).toString("hex"));
    fc.assert(fc.property(digest.filter(hasLetter), unharmed), { numRuns: 3_000 });
    unharmed("e7800682-5281-474e-9f71-24df18251d57");
    unharmed("553f6cbbf1097416d4403785fc50abf189662e0e7ddc8b98d598950995250069");
  });

  test("moments, in seconds, milliseconds, microseconds and words", () => {
    const moment = fc.integer({ min: 1_000_000_000, max: 1_999_999_999 });
    fc.assert(
      fc.property(moment, fc.integer({ min: 0, max: 999_999 }), (seconds, rest) => {
        for (const digits of [0, 3, 6]) unharmed(`${seconds}${String(rest).padStart(6, "0").slice(0, digits)}`);
        unharmed(new Date(seconds * 1_000).toISOString());
      }),
    );
  });

  test("base64, as of pictures and checksums", () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 30, maxLength: 300 }), (bytes) => unharmed(`sha512-${Buffer.from(bytes).toString("base64")}`)),
      { seed: 1, numRuns: 500 },
    );
  });

  test("a card is found beside them all the same", () => {
    expect(redact("id e7800682-5281-474e-9f71-24df18251d57 at 1700000015838 paid by 4111111111111111")).toBe(
      "id e7800682-5281-474e-9f71-24df18251d57 at 1700000015838 paid by [REDACTED_CARD]",
    );
    expect(redact("card4111111111111111 a4111111111111111b")).toBe("card[REDACTED_CARD] a[REDACTED_CARD]b");
  });
});

describe("secrets that the program holds", () => {
  const forms = (secret: string): Record<string, string> => ({
    plain: secret,
    "URL-encoded": encodeURIComponent(secret),
    "URL-encoded in lower case": encodeURIComponent(secret).replaceAll(/%../g, (code) => code.toLowerCase()),
    "in JSON": JSON.stringify(secret),
    base64: Buffer.from(secret).toString("base64"),
    base64url: Buffer.from(secret).toString("base64url"),
    "base64 behind one byte": Buffer.from(`x${secret}`).toString("base64"),
    "base64 behind two bytes": Buffer.from(`xy${secret}`).toString("base64"),
    "base64 in the middle": Buffer.from(`user:${secret}:and more`).toString("base64"),
    "base64, URL-encoded": encodeURIComponent(Buffer.from(secret).toString("base64")),
  });

  test.each(Object.keys(forms("")))("%s", (name) => {
    const form = forms(upstreamKey)[name] as string;
    const clean = redact(`before ${form} after`);
    expect(clean).toContain("[REDACTED_SECRET]");
    // At most the characters at the ends, which hold a few bits of what stands beside it.
    expect(clean.length).toBeLessThan("before  after [REDACTED_SECRET]".length + 24);
    for (const other of Object.values(forms(upstreamKey))) expect(clean).not.toContain(other);
  });

  test("any secret is gone from any text around it", () => {
    fc.assert(
      fc.property(
        fc.string({ minLength: 12, maxLength: 60, unit: "grapheme-ascii" }).filter((secret) => secret.trim().length >= 12),
        fc.string({ maxLength: 50 }),
        fc.string({ maxLength: 50 }),
        (secret, before, after) => {
          const clean = createRedactor({ secrets: [secret] });
          for (const form of [secret, Buffer.from(`${before}${secret}${after}`).toString("base64"), encodeURIComponent(secret)]) {
            const { text } = clean.redact(`${before}${form}${after}`);
            expect(text).not.toContain(secret);
            // Nor in what somebody reads who decodes it.
            for (const word of text.match(/[\w+/=-]{16,}/g) ?? [])
              expect(Buffer.from(word, "base64").toString("latin1")).not.toContain(secret);
          }
        },
      ),
      { numRuns: 200 },
    );
  });

  test("what is too short to be one is left alone", () => {
    expect(redact("a short text")).toBe("a short text");
  });
});

describe("any text", () => {
  const piece = fc.oneof(
    fc.string({ maxLength: 20 }),
    fc.constantFrom(
      ...["sk-0123456789abcdef", "ghp_0123456789abcdef0123", "AKIAIOSFODNN7EXAMPLE", "a@b.example", "123-45-6789"],
      ...["4111 1111 1111 1111", "555-010-0199", "+1 555 010 0199", "Bearer ", "api_key=", "password: ", "?key=", "eyJhbGciOi.eyJzdWIi.x"],
      ...["-----BEGIN PRIVATE KEY-----", "-----END PRIVATE KEY-----", " ", "-", ".", "1", "\n", '"', "[REDACTED_SECRET]"],
    ),
  );
  const text = fc.array(piece, { maxLength: 12 }).map((pieces) => pieces.join(""));

  test("redacting twice changes nothing", () => {
    fc.assert(
      fc.property(text, (sample) => {
        const once = redact(sample);
        expect(redactor.redact(once)).toEqual({ text: once, found: {} });
      }),
      { numRuns: 1_000 },
    );
  });

  test("a text grows by no more than its labels", () => {
    fc.assert(
      fc.property(text, (sample) => {
        expect(redact(sample).length).toBeLessThanOrEqual(4 * sample.length);
      }),
    );
  });

  test("no pattern takes more than linear time", { timeout: 20_000 }, () => {
    const hostile = [
      "eyJ-",
      "a@",
      "1 ",
      "password=",
      "a-",
      "-----BEGIN PRIVATE KEY-----",
      "sk-",
      "a.",
      "bearer ",
      "x",
      "555-010-0199",
      "+1 ",
      "eyJaaaaaaaa.",
      "GB82 ",
      "GB82WEST",
      "apikey=a.a",
      "a1-",
      "4111111111111 a",
    ];
    for (const part of hostile) {
      const long = part.repeat(Math.ceil(400_000 / part.length));
      // Quadratic time would be minutes.
      expect(typeof redact(`${long}!`)).toBe("string");
    }
  });
});
