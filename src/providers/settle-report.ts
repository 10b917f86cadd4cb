import type { AttemptCall } from "../core/call.ts";
import type { TranslationReport } from "../core/translation.ts";

/** Tells a call what its request could not carry. Throws for a strict call that would lose something. */
export function settleReport(report: TranslationReport, call: AttemptCall): void {
  report.settle(call.options?.strict ?? false);
  call.translation.push(...report.notes);
}
