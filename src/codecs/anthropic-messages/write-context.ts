/** What the parts of a request's writer share. */
import type { CallState } from "../../core/call-state.ts";
import type { Target } from "../../core/target.ts";
import type { TranslationReport } from "../../core/translation.ts";
import type { CacheMarkers } from "./cache-markers.ts";

export interface WriteContext {
  readonly target: Target;
  readonly report: TranslationReport;
  readonly markers: CacheMarkers;
  readonly state: CallState;
}
