/** What the parts of a request's writer share. */
import type { Target } from "../../core/target.ts";
import type { TranslationReport } from "../../core/translation.ts";
import type { CacheMarkers } from "./cache-markers.ts";
import type { CallState } from "./call-state.ts";

export interface WriteContext {
  readonly target: Target;
  readonly report: TranslationReport;
  readonly markers: CacheMarkers;
  readonly state: CallState;
}
