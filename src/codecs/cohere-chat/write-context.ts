/** What the parts of a request's writer share. */
import type { WritableObject } from "../../core/json.ts";
import type { Target } from "../../core/target.ts";
import type { TranslationReport } from "../../core/translation.ts";
import type { CallState } from "./call-state.ts";

export interface WriteContext {
  readonly target: Target;
  readonly report: TranslationReport;
  readonly state: CallState;
  /** Documents of user messages: the API takes them beside the conversation. */
  readonly documents: WritableObject[];
}
