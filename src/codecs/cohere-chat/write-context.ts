/** What the parts of a request's writer share. */
import type { CallState } from "../../core/call-state.ts";
import type { WritableObject } from "../../core/json.ts";
import type { Target } from "../../core/target.ts";
import type { TranslationReport } from "../../core/translation.ts";

export interface WriteContext {
  readonly target: Target;
  readonly report: TranslationReport;
  readonly state: CallState;
  /** Documents of user messages: the API takes them beside the conversation. */
  readonly documents: WritableObject[];
}
