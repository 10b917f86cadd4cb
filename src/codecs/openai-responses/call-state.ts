/** What the reader of an answer must know of its request, so that what the writer emulated is undone. */
export class CallState {
  /** Tool names as the client wrote them, by the names that were sent; only those that differ. */
  readonly originalNames = new Map<string, string>();
  /** Texts at which the answer is cut, for the API has no such setting. */
  readonly stops: readonly string[];
  /** Name of the function whose arguments are the answer, where the model follows no schema; empty where there is none. */
  schemaTool = "";

  constructor(stops: readonly string[] = []) {
    this.stops = stops;
  }

  originalName(sent: string): string {
    return this.originalNames.get(sent) ?? sent;
  }
}
