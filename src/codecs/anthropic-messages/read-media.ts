/** The sources of images and documents: base64 becomes bytes, a file's id names something stored at the provider. */
import { create } from "@bufbuild/protobuf";
import { DocumentOptionsSchema, type Media, MediaSchema } from "../../../gen/dragoman/v1/generate_pb.ts";
import { invalidField } from "../../core/error.ts";
import type { Fields } from "../../core/fields.ts";
import { isJsonObject } from "../../core/json.ts";
import { decodeBase64, isDataUrl } from "../../core/media-source.ts";

const pdf = "application/pdf";

/** `image {source}`; undefined for a source that is not known here. */
export function readImage(block: Fields): Media | undefined {
  return readSource(block, new Set(["base64", "url", "file"]), "");
}

/** `document {source, title, context, citations}`; undefined for a source that has no form as a file, as lists of blocks have none. */
export function readDocument(block: Fields): Media | undefined {
  // By URL the API takes PDF and nothing else.
  const media = readSource(block, new Set(["base64", "url", "file", "text"]), pdf);
  if (media === undefined) return undefined;
  const title = block.string("title");
  const context = block.string("context");
  const citations = block.object("citations")?.boolean("enabled");
  if (title !== undefined || context !== undefined || citations !== undefined) {
    media.document = create(DocumentOptionsSchema, {
      title: title ?? "",
      context: context ?? "",
      ...(citations === undefined ? {} : { citations }),
    });
  }
  return media;
}

function readSource(block: Fields, known: ReadonlySet<string>, urlType: string): Media | undefined {
  const value = block.peek("source");
  if (isJsonObject(value) && typeof value.type === "string" && !known.has(value.type)) return undefined;
  const source = block.object("source") ?? block.fail("source", "is required");
  switch (source.requiredString("type")) {
    case "url":
      return create(MediaSchema, { source: { case: "url", value: readText(source, "url") }, mimeType: urlType });
    case "file":
      return create(MediaSchema, { source: { case: "providerFile", value: { id: readText(source, "file_id") } } });
    case "text": {
      const data = new Uint8Array(Buffer.from(source.requiredString("data"), "utf8"));
      return create(MediaSchema, { source: { case: "data", value: data }, mimeType: source.string("media_type") ?? "text/plain" });
    }
    default: {
      const data = decodeBare(source.requiredString("data"), source.pathOf("data"));
      return create(MediaSchema, { source: { case: "data", value: data }, mimeType: source.string("media_type")?.toLowerCase() ?? "" });
    }
  }
}

function readText(source: Fields, name: string): string {
  const text = source.requiredString(name);
  return text === "" ? source.fail(name, "must not be empty") : text;
}

function decodeBare(text: string, path: string): Uint8Array {
  if (isDataUrl(text)) throw invalidField(path, "must be base64 alone: leave the beginning of the data: URL out");
  return decodeBase64(text, path);
}
