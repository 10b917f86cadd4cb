import { expect, test } from "vitest";
import { decodeBase64, readMediaUrl } from "../../src/core/media-source.ts";

const text = (bytes: Uint8Array) => Buffer.from(bytes).toString("latin1");

test.each([
  ["aGk/Pz4+", "hi??>>"],
  ["aGk_Pz4-", "hi??>>"],
  ["aA==", "h"],
  ["aA", "h"],
  ["aG\n k/\r\nPz4+", "hi??>>"],
  ["", ""],
])("%j is base64", (encoded, decoded) => {
  expect(text(decodeBase64(encoded, "data"))).toBe(decoded);
});

test.each(["a", "aGk*", "data:image/png;base64,aGk=", "aA=a", "aA==="])("%j is no base64, and the error says where", (encoded) => {
  expect(() => decodeBase64(encoded, "parts[0].data")).toThrow("parts[0].data");
});

test("data: URLs become bytes, other addresses stay", () => {
  expect(readMediaUrl("DATA:Image/PNG ;charset=x;BASE64,aGk", "u")).toMatchObject({ mimeType: "image/png", source: { case: "data" } });
  const { source } = readMediaUrl("data:text/plain,a%20b", "u");
  expect(source.case === "data" && text(source.value)).toBe("a b");
  expect(readMediaUrl("https://a.b/c", "u")).toMatchObject({ mimeType: "", source: { case: "url", value: "https://a.b/c" } });
  for (const wrong of ["", "data:image/png", "data:,%zz", "data:;base64,*"]) expect(() => readMediaUrl(wrong, "u")).toThrow("u:");
});
