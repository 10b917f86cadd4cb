/**
 * Dragoman's own keys: `dgm_<env>_<id>_<secret>_<crc>` (reliability.md 2.2). The prefix serves secret scanners; grammar and
 * checksum tell junk from keys before anything is looked up.
 */
import { randomBytes } from "node:crypto";
import { crc32 } from "node:zlib";

export interface KeyParts {
  /** Where the key belongs, for people: `live`, `test`. */
  readonly environment: string;
  /** 12 lower-case base36 characters. */
  readonly id: string;
  /** 43 base62 characters: 256 bits. */
  readonly secret: string;
}

/** Keys of this environment are for one call: they end with their first use (reliability.md 2.3, break-glass). */
const oneCallEnvironment = "once";

const base36 = "0123456789abcdefghijklmnopqrstuvwxyz";
const base62 = `${base36}ABCDEFGHIJKLMNOPQRSTUVWXYZ`;
const idLength = 12;
const secretLength = 43;
const checksumLength = 6;

const grammar = /^dgm_([a-z0-9]{1,16})_([0-9a-z]{12})_([0-9A-Za-z]{43})_([0-9A-Za-z]{6})$/;

/** Whether a credential wants to be one of our keys: then it is nothing else. */
export function looksLikeOwnKey(credential: string): boolean {
  return credential.startsWith("dgm_");
}

/** Undefined where the grammar or the checksum is wrong. */
export function readKey(credential: string): KeyParts | undefined {
  const found = grammar.exec(credential);
  if (found === null) return undefined;
  const [, environment = "", id = "", secret = "", checksum = ""] = found;
  return checksumOf(credential.slice(0, -checksumLength - 1)) === checksum ? { environment, id, secret } : undefined;
}

export function writeKey({ environment, id, secret }: KeyParts): string {
  const text = `dgm_${environment}_${id}_${secret}`;
  return `${text}_${checksumOf(text)}`;
}

/** A new id and secret. */
export function makeKeyParts(environment: string): KeyParts {
  return { environment, id: makeKeyId(), secret: randomText(base62, secretLength) };
}

export function makeKeyId(): string {
  return randomText(base36, idLength);
}

/** What lists show of a key: enough for its holder to know it again. */
export function visiblePrefix({ environment, id }: Pick<KeyParts, "environment" | "id">): string {
  return `dgm_${environment}_${id}`;
}

/** Whether a key with this visible beginning is for one call. */
export function isForOneCall({ prefix }: { readonly prefix: string }): boolean {
  return prefix.startsWith(`dgm_${oneCallEnvironment}_`);
}

/** CRC-32 (IEEE 802.3, as in zlib) in base62, most significant digit first. */
function checksumOf(text: string): string {
  let rest = crc32(text);
  let digits = "";
  for (let digit = 0; digit < checksumLength; digit++) {
    digits = base62.charAt(rest % 62) + digits;
    rest = Math.floor(rest / 62);
  }
  return digits;
}

/** Every character equally likely: bytes beyond the last whole multiple of the alphabet are thrown away. */
function randomText(alphabet: string, length: number): string {
  const limit = 256 - (256 % alphabet.length);
  let text = "";
  while (text.length < length) {
    for (const byte of randomBytes(length)) if (byte < limit && text.length < length) text += alphabet.charAt(byte % alphabet.length);
  }
  return text;
}
