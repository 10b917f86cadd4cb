import type { Target } from "../../core/target.ts";
import type { TranslationReport } from "../../core/translation.ts";
import type { CallState } from "./call-state.ts";

/** What every piece of a request's writer needs. */
export interface WriteContext {
  readonly target: Target;
  readonly report: TranslationReport;
  readonly state: CallState;
}
