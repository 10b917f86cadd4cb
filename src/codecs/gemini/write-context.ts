/** What the parts of a request's writer share. */
import type { Target } from "../../core/target.ts";
import type { TranslationReport } from "../../core/translation.ts";
import type { CallState } from "./call-state.ts";
import type { GeminiQuirks } from "./quirks.ts";

export interface WriteContext {
  readonly target: Target;
  readonly report: TranslationReport;
  readonly quirks: GeminiQuirks;
  readonly state: CallState;
}
