/** Lists in pages. A cursor names the last record that was seen, so a page is stable while others insert. */
export interface PageRequest {
  /** Most records of this page; the store takes 1 to `maxPageSize` and clamps the rest. */
  readonly size: number;
  /** `next` of the page before, of the same list with the same filter; undefined: the first page. */
  readonly cursor?: string | undefined;
}

export interface Page<Item> {
  readonly items: readonly Item[];
  /** Opaque; undefined where the list is over. */
  readonly next: string | undefined;
}

export const maxPageSize = 1_000;
