/** PostgreSQL's failures by their code: https://www.postgresql.org/docs/current/errcodes-appendix.html */
import { GatewayError } from "../../core/error.ts";
import { storeAway, storeTimeout, UniqueViolation } from "../database.ts";

export type FailureKind =
  /** The server or the way to it; a new connection may help. */
  | "away"
  /** Another transaction was in the way: the same again may succeed. */
  | "conflict"
  | "timeout"
  | "unique"
  | "fault";

/** Server shuts down or starts, has too many clients or no space, is a standby, refuses the sign-in, or has no such database. */
const awayClasses = new Set(["08", "53", "57P", "28", "3D", "25006"]);

export function kindOf(thrown: unknown): FailureKind {
  const code = codeOf(thrown);
  // What the server itself said has a severity; the rest is sockets, and the client library's own words for them.
  if (!(thrown instanceof Error && "severity" in thrown)) return code === "" ? "fault" : "away";
  if (code === "40001" || code === "40P01") return "conflict";
  if (code === "57014" || code === "55P03") return "timeout";
  if (code === "23505") return "unique";
  return [...awayClasses].some((prefix) => code.startsWith(prefix)) ? "away" : "fault";
}

/** Whether the connection is gone with it: failures of sockets have no severity, and after FATAL the server hangs up. */
export function isLost(thrown: unknown): boolean {
  const severity = thrown instanceof Error && "severity" in thrown ? thrown.severity : undefined;
  return severity === undefined ? kindOf(thrown) === "away" : severity === "FATAL" || severity === "PANIC";
}

/** What callers see. The server's own message may hold values: only its code goes on. */
export function explainFailure(thrown: unknown): unknown {
  if (thrown instanceof GatewayError) return thrown;
  const kind = kindOf(thrown);
  if (kind === "fault" && codeOf(thrown) === "") return thrown;
  const cause = new Error(`PostgreSQL: ${codeOf(thrown)}`);
  if (kind === "timeout") return storeTimeout(cause);
  if (kind === "unique") return new UniqueViolation("a row with this key stands already");
  return kind === "fault" ? cause : storeAway(cause);
}

function codeOf(thrown: unknown): string {
  return thrown instanceof Error && "code" in thrown && typeof thrown.code === "string" ? thrown.code : "";
}
