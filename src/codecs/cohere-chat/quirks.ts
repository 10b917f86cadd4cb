/** Where providers of Cohere's API differ, as data in their tables. */
export interface CohereQuirks {
  /** Below the base URL. */
  readonly path: string;
}

export const defaultQuirks: CohereQuirks = { path: "/v2/chat" };
