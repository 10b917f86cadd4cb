/** How servers that speak Responses differ from OpenAI: plain data, filled in by a vendor's table. */
export interface OpenAiResponsesQuirks {
  /** Field that carries the end user's id; absent: it is not sent. */
  readonly sendUser?: "user" | "safety_identifier";
  /** Top-level fields that it refuses: left out and reported. */
  readonly refusedParameters?: readonly string[];
  /** False: has no `/responses/input_tokens`. */
  readonly counting?: boolean;
}
