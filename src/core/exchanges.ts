/** A conversation by what an assistant said and what came before it spoke again; results stand by the calls they answer. */
import type { TranslationReport } from "./translation.ts";

/** `asked` is empty where the conversation begins with others; `answered` where it ends with the assistant. */
export interface Exchange<Entry> {
  readonly asked: Entry[];
  readonly answered: Entry[];
}

export function groupExchanges<Entry>(entries: readonly Entry[], isAssistants: (entry: Entry) => boolean): Exchange<Entry>[] {
  const exchanges: Exchange<Entry>[] = [];
  for (const entry of entries) {
    const last = exchanges.at(-1);
    if (isAssistants(entry)) {
      if (last === undefined || last.answered.length > 0) exchanges.push({ asked: [entry], answered: [] });
      else last.asked.push(entry);
    } else if (last === undefined) exchanges.push({ asked: [], answered: [entry] });
    else last.answered.push(entry);
  }
  return exchanges;
}

/** A call, and the place in the request where it is written. */
export interface PlacedCall {
  readonly callId: string;
  readonly path: string;
}

/** `resultId` is the id of the call that it answers. */
export interface PlacedResult {
  readonly resultId: string;
  readonly path: string;
}

/** The results of one exchange in the order of its calls. A call or a result that has no counterpart is refused. */
export function matchResults<Result extends PlacedResult>(
  calls: readonly PlacedCall[],
  answers: readonly Result[],
  report: TranslationReport,
): Result[] {
  const callIds = new Set<string>();
  for (const { callId, path } of calls) {
    if (callIds.has(callId)) report.refused(path, "has the id of another call of this turn");
    callIds.add(callId);
  }
  const results = new Map<string, Result>();
  for (const result of answers) {
    if (!callIds.has(result.resultId)) report.refused(result.path, "answers no call of the assistant message before it");
    else if (results.has(result.resultId)) report.refused(result.path, "is a second result of one call");
    else results.set(result.resultId, result);
  }
  for (const { callId, path } of calls) if (!results.has(callId)) report.refused(path, "is a call without a result after it");
  return calls.flatMap(({ callId }) => results.get(callId) ?? []);
}
