/** What the reader of an answer must know of its request. */
export class CallState {
  /** Names of free-text tools, which are sent as functions: their text is the argument `input`. */
  readonly customTools = new Set<string>();
  /** Whether several answers were asked for. Else outputs of any index are steps of one answer. */
  severalCandidates = false;
}
