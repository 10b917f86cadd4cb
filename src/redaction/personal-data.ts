/** What says who somebody is, by its looks. Every expression is linear in the text: see secrets.ts. */
import type { Detector } from "./detector.ts";

const email = /(?<![\p{L}\p{N}._%+'-])[\p{L}\p{N}._%+'-]+@(?:[\p{L}\p{N}-]+\.)+\p{L}{2,}/gu;

export const redactEmails: Detector = (text, replace) => (text.includes("@") ? text.replace(email, replace) : text);

/** Of the United States: three, two and four digits. */
const socialSecurity = /(?<![\d-])\d{3}([- ])\d{2}\1\d{4}(?![\d-])/g;

export const redactSocialSecurityNumbers: Detector = (text, replace) => text.replace(socialSecurity, replace);

/**
 * With a country's code, in groups as in (555) 010-0199 or 555.010.0199, or ten digits as North America has them. Dates,
 * versions and addresses of machines have other groups.
 */
const phone = new RegExp(
  [
    String.raw`(?<![\w+])\+\d{1,3}(?:[ .()-]{0,3}\d){6,13}(?!\d)`,
    String.raw`(?<![\w.-])(?:\d{1,3}[ .-])?(?:\(\d{2,4}\) ?|\d{3}[ .-])\d{3}[ .-]?\d{4}(?![\w-])`,
    // The bounds of 32-bit numbers are none.
    String.raw`(?<![\w.-])(?!214748364[78]|429496729[56])[2-9]\d{2}[2-9]\d{6}(?![\w-])`,
  ].join("|"),
  "g",
);

export const redactPhones: Detector = (text, replace) => text.replace(phone, replace);
