/** What the parts of a request's writer share. */
import type { Target } from "../../core/target.ts";
import type { TranslationReport } from "../../core/translation.ts";
import type { CachePoints } from "./cache-points.ts";
import type { ConverseCallState } from "./call-state.ts";
import type { DocumentNames } from "./document-names.ts";
import type { BedrockModelQuirks } from "./quirks.ts";

export interface WriteContext {
  readonly target: Target;
  readonly quirks: BedrockModelQuirks;
  readonly report: TranslationReport;
  readonly points: CachePoints;
  readonly documents: DocumentNames;
  readonly state: ConverseCallState;
}
