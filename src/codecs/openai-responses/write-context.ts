/** What the writers of a request share. */
import type { Target } from "../../core/target.ts";
import type { TranslationReport } from "../../core/translation.ts";
import type { CallState } from "./call-state.ts";
import type { OpenAiResponsesQuirks } from "./quirks.ts";

export interface WriteContext {
  readonly quirks: OpenAiResponsesQuirks;
  readonly target: Target;
  readonly report: TranslationReport;
  readonly state: CallState;
  /** Parts whose cache markers are written. */
  readonly marked: ReadonlySet<object>;
  /** Whether the service keeps what it answers: then items may be named by their ids. */
  readonly isStored: boolean;
}
