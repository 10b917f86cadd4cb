import { create } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { TranslationAction, TranslationNoteSchema } from "../../gen/dragoman/v1/usage_pb.ts";
import { writeTranslationHeader } from "../../src/core/translation-header.ts";

const note = (action: TranslationAction, path: string, clientPath = "") => create(TranslationNoteSchema, { action, path, clientPath });

describe("writeTranslationHeader", () => {
  test("is empty without notes", () => {
    expect(writeTranslationHeader([])).toBe("");
  });

  test("lists actions with paths, in the client's words where they are known", () => {
    const notes = [
      note(TranslationAction.DROPPED, "sampling.top_k"),
      note(TranslationAction.COERCED, "sampling.temperature", "temperature"),
      note(TranslationAction.DEFAULTED, "sampling.max_output_tokens"),
    ];
    expect(writeTranslationHeader(notes)).toBe(
      'dropped;path="sampling.top_k", coerced;path="temperature", defaulted;path="sampling.max_output_tokens"',
    );
  });

  test("escapes what a structured string cannot hold", () => {
    expect(writeTranslationHeader([note(TranslationAction.DROPPED, 'a"b\\c\u00e9\n')])).toBe('dropped;path="a\\"b\\\\c??"');
  });

  test("stays within 4 KiB and counts the rest", () => {
    const notes = Array.from({ length: 500 }, (_, index) => note(TranslationAction.DROPPED, `messages[${index}].parts[0].cache`));
    const header = writeTranslationHeader(notes);
    expect(header.length).toBeLessThanOrEqual(4096);
    const shown = header.split(", ").length - 1;
    expect(header.endsWith(`more;count=${500 - shown}`)).toBe(true);
  });
});
