/** What the writers of a request share. */
import { invalidField } from "../../core/error.ts";
import { isJsonObject, JsonError, parseJson, RawJson, upstreamJsonLimits } from "../../core/json.ts";
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

/** JSON text that a client wrote, as it stands. Throws invalid_request where it is no JSON object: it would break ours. */
export function rawObject(text: string, path: string): RawJson {
  try {
    if (isJsonObject(parseJson(text, upstreamJsonLimits))) return new RawJson(text);
  } catch (error) {
    if (!(error instanceof JsonError)) throw error;
  }
  throw invalidField(path, "must be JSON text of one object");
}
