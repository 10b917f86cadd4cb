/**
 * Values of a label, of which there are never more than so many: what clients can make up must not become series without
 * end, nor show what they wrote. A value is only let in by whoever knows that it is a name.
 */

/** What stands for all that were not let in. */
export const otherLabel = "other";

/** Longer ones are no names. */
const maxLength = 128;

export class BoundedLabels {
  readonly #most: number;
  readonly #known = new Set<string>();

  constructor(most: number) {
    this.#most = most;
  }

  /** The value itself where it was let in, else `other`. */
  find(value: string): string {
    return this.#known.has(value) ? value : otherLabel;
  }

  /** The same, and lets it in where there is room. */
  admit(value: string): string {
    if (this.#known.has(value)) return value;
    if (value === "" || value.length > maxLength || this.#known.size >= this.#most) return otherLabel;
    this.#known.add(value);
    return value;
  }
}
