/** One of the long runs. */
export interface EnduranceRun {
  /** Word on the command line and heading in RESULTS.md. */
  readonly name: string;
  /** One sentence: what is done and what must hold. */
  readonly about: string;
  /** Numbers that can be set, with the default of a full run. */
  readonly options: Readonly<Record<string, number>>;
  /** Throws only where the run itself is broken. */
  run(options: Readonly<Record<string, number>>, print: (line: string) => void): Promise<EnduranceResult>;
}

export interface EnduranceResult {
  readonly passed: boolean;
  /** Markdown: a table of what was measured. */
  readonly lines: readonly string[];
}
