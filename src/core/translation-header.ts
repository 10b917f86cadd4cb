/** The translation report as one header or trailer, for clients that do not read Settled. */
import { TranslationAction, type TranslationNote } from "../../gen/dragoman/v1/usage_pb.ts";

/** Longest value. */
const maxLength = 4096;
/** Kept free for the item that counts what did not fit. */
const reserve = 32;

const words: Readonly<Partial<Record<TranslationAction, string>>> = {
  [TranslationAction.DROPPED]: "dropped",
  [TranslationAction.COERCED]: "coerced",
  [TranslationAction.EMULATED]: "emulated",
  [TranslationAction.DEFAULTED]: "defaulted",
};

/**
 * Value of `x-dragoman-translation`: a list of RFC 9651, `dropped;path="sampling.top_k", coerced;path="temperature"`,
 * with paths in the client's own dialect where they are known. Empty where there is nothing to report. At most 4 KiB:
 * notes that do not fit are counted in a last item, `more;count=3`.
 */
export function writeTranslationHeader(notes: readonly TranslationNote[]): string {
  let header = "";
  for (const [index, note] of notes.entries()) {
    const item = `${words[note.action] ?? "changed"};path=${quote(note.clientPath || note.path)}`;
    if (header.length + item.length > maxLength - reserve) return join(header, `more;count=${notes.length - index}`);
    header = join(header, item);
  }
  return header;
}

function join(header: string, item: string): string {
  return header === "" ? item : `${header}, ${item}`;
}

/** A string of RFC 9651 section 3.3.3 holds visible ASCII and spaces only. */
function quote(text: string): string {
  return `"${text.replace(/[^\x20-\x7e]/g, "?").replace(/["\\]/g, "\\$&")}"`;
}
