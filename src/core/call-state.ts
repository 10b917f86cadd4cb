/** What the reader of an answer must know of its request, so that what the writer emulated is undone. */
export class CallState {
  /** Tool names as the client wrote them, by the names that were sent; only those that differ. */
  readonly originalNames = new Map<string, string>();
  /** Sent names of functions that stand for free-text tools: their text is the argument `input`. */
  readonly customTools = new Set<string>();
  /** The function that stands for an output schema: its arguments are the answer's text. Empty where there is none. */
  schemaTool = "";

  /** Whether there is anything to undo. */
  get isNeeded(): boolean {
    return this.originalNames.size > 0 || this.customTools.size > 0 || this.schemaTool !== "";
  }

  originalName(sent: string): string {
    return this.originalNames.get(sent) ?? sent;
  }
}
