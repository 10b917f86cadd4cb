/** One step of the schema. Forward only: a step that was released is never changed, a mistake is mended by a later one. */
export interface Migration {
  /** Counts from 1 without gaps. */
  readonly version: number;
  readonly name: string;
  /**
   * For both engines: `{text}` is text that sorts by its bytes, `{bytes}` a byte string. The statements of a step take
   * effect together, with the note that it was applied.
   */
  readonly statements: readonly string[];
  /** Further ones of one engine alone. */
  readonly sqlite?: readonly string[];
  readonly postgres?: readonly string[];
}
