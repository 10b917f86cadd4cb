/** Keeps one HTTP/2 connection within its limits: window, resets, idleness, life signs, age. */
import http2, { type ServerHttp2Session } from "node:http2";
import type { Logger } from "../core/log.ts";
import type { ServerLimits } from "./limits.ts";

/** Called once for a new session. Everything it starts ends with the session. */
export function limitSession(session: ServerHttp2Session, limits: ServerLimits, log: Logger): void {
  session.setLocalWindowSize(limits.h2ConnectionWindowBytes);
  let streams = 0;
  let resets = 0;
  let windowEnds = 0;

  session.on("stream", (stream) => {
    streams++;
    stream.once("close", () => {
      streams--;
      if (stream.rstCode !== http2.constants.NGHTTP2_NO_ERROR) countReset();
    });
  });

  // A listener given to setTimeout would hear only the first timeout, which may fall on a running stream.
  session.setTimeout(limits.idleTimeoutMs);
  session.on("timeout", () => {
    if (streams === 0) session.close();
  });

  const ping = setInterval(() => {
    if (streams > 0) askForLife();
  }, limits.pingIntervalMs);
  ping.unref();
  const age = setTimeout(() => session.close(), spread(limits.connectionAgeMs));
  age.unref();
  session.once("close", () => {
    clearInterval(ping);
    clearTimeout(age);
  });

  function countReset(): void {
    const now = performance.now();
    if (now > windowEnds) {
      windowEnds = now + limits.h2ResetWindowMs;
      resets = 0;
    }
    resets++;
    if (resets <= limits.h2Resets || session.destroyed) return;
    log.debug("a client reset too many streams", { resets });
    session.destroy(undefined, http2.constants.NGHTTP2_ENHANCE_YOUR_CALM);
  }

  /** A peer that is gone without a word answers no ping within one interval. */
  function askForLife(): void {
    if (session.destroyed || session.closed) return;
    const late = setTimeout(() => session.destroy(), limits.pingIntervalMs);
    late.unref();
    if (!session.ping(() => clearTimeout(late))) clearTimeout(late);
  }
}

/** A duration, 10 % more or less, so that connections of one moment do not end in one moment. */
export function spread(durationMs: number): number {
  return durationMs * (0.9 + Math.random() * 0.2);
}
