/** What the reader of an answer must know of its request, so that what the writer emulated is undone. */
export class CallState {
  /** The tool that stands for an output schema: its arguments are the answer's text. Empty where there is none. */
  schemaTool = "";
  /** Tool names as the client wrote them, by the names that were sent; only those that differ. */
  readonly originalNames = new Map<string, string>();
  /** Sent names of functions that stand for free-text tools: their text is the argument `input`. */
  readonly customTools = new Set<string>();

  originalName(sent: string): string {
    return this.originalNames.get(sent) ?? sent;
  }
}

/** The one argument of a function that stands for a free-text tool. */
export const customToolArgument = "input";
