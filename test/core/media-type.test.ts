import { describe, expect, test } from "vitest";
import { sniffMediaType } from "../../src/core/media-type.ts";

const bytes = (...parts: (string | number[])[]): Uint8Array => Buffer.concat(parts.map((part) => Buffer.from(part as string, "latin1")));

describe("sniffMediaType", () => {
  test.each([
    ["image/png", bytes([0x89], "PNG\r\n", [0x1a, 0x0a], "rest")],
    ["image/jpeg", bytes([0xff, 0xd8, 0xff, 0xe0], "JFIF")],
    ["image/gif", bytes("GIF89a...")],
    ["image/gif", bytes("GIF87a...")],
    ["image/webp", bytes("RIFF", [1, 2, 3, 4], "WEBPVP8 ")],
    ["audio/wav", bytes("RIFF", [1, 2, 3, 4], "WAVEfmt ")],
    ["application/pdf", bytes("%PDF-1.7")],
    ["audio/mpeg", bytes("ID3", [4, 0])],
    ["audio/mpeg", bytes([0xff, 0xfb, 0x90, 0x64])],
    ["audio/mpeg", bytes([0xff, 0xf3, 0x40, 0xc0])],
  ])("knows %s", (type, content) => {
    expect(sniffMediaType(content)).toBe(type);
  });

  test.each([
    ["nothing", bytes("")],
    ["a PNG that is cut", bytes([0x89], "PN")],
    ["RIFF of another kind", bytes("RIFF", [1, 2, 3, 4], "AVI ")],
    ["text", bytes("hello")],
    ["UTF-16 text", bytes([0xff, 0xfe, 0x68, 0x00])],
    ["layer III with an impossible bit rate", bytes([0xff, 0xfb, 0xf0, 0x00])],
  ])("does not guess %s", (_, content) => {
    expect(sniffMediaType(content)).toBeUndefined();
  });
});
