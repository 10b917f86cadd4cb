/** Deadlines of clients: longer than allowed counts as the longest allowed. What is no duration is left for the protocol to refuse. */

/** Milliseconds per unit of grpc-timeout (https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md). */
const units: Readonly<Record<string, number>> = { H: 3_600_000, M: 60_000, S: 1_000, m: 1, u: 1e-3, n: 1e-6 };

/** Changes `headers` in place. It must happen before Connect sees them: it refuses what is longer than its maximum. */
export function clampTimeouts(headers: Headers, maxMs: number): void {
  const grpc = /^(\d{1,8})([HMSmun])$/.exec(headers.get("grpc-timeout") ?? "");
  if (grpc !== null && Number(grpc[1]) * (units[grpc[2] as string] ?? 0) > maxMs) headers.set("grpc-timeout", `${maxMs}m`);
  const connect = headers.get("connect-timeout-ms") ?? "";
  if (/^\d{1,10}$/.test(connect) && Number(connect) > maxMs) headers.set("connect-timeout-ms", String(maxMs));
}
