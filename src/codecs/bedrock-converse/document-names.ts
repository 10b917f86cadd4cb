/**
 * Names of documents: letters, digits, single spaces, hyphens, parentheses and brackets, at most 200, each once in a
 * request. The model reads them. https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_DocumentBlock.html
 */
const maxLength = 200;
const illegal = /[^a-zA-Z0-9\s()[\]-]+/g;
/** A file's extension; a dot within a title is followed by a space or by more. */
const extension = /\.[a-zA-Z0-9]{1,5}$/;

export interface DocumentName {
  readonly name: string;
  /** Whether the document had no name that could be used. */
  readonly isMade: boolean;
}

/** The names of one request. */
export class DocumentNames {
  readonly #used = new Set<string>();
  #count = 0;

  /** A legal name that no other document of the request has, as near to `wanted` as can be. */
  claim(wanted: string): DocumentName {
    this.#count++;
    const clean = cleanName(wanted);
    const name = this.#unique(clean === "" ? `document-${this.#count}` : clean);
    this.#used.add(name);
    return { name, isMade: clean === "" };
  }

  #unique(name: string): string {
    let unique = name;
    for (let number = 2; this.#used.has(unique); number++) {
      const suffix = ` (${number})`;
      unique = name.slice(0, maxLength - suffix.length).trimEnd() + suffix;
    }
    return unique;
  }
}

function cleanName(wanted: string): string {
  return wanted.replace(extension, "").replace(illegal, " ").replace(/\s+/g, " ").trim().slice(0, maxLength).trimEnd();
}
