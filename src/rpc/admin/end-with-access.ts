/** Streams that go on for as long as nobody ends them: a key that is revoked ends them too (reliability.md X11). */
import type { HandlerContext } from "@connectrpc/connect";
import { GatewayError } from "../../core/error.ts";
import type { Judge } from "../gate.ts";

/** How often callers are judged again; stores tell of revoked keys within five seconds. */
const judgeMs = 1_000;

/** The messages of `run`, which is given a context whose signal ends it. Throws GatewayError when its caller may no longer call. */
export async function* endWithAccess<Message>(
  judge: Judge,
  context: HandlerContext,
  run: (context: HandlerContext) => AsyncIterable<Message>,
): AsyncGenerator<Message> {
  const lost = new AbortController();
  const timer = setInterval(() => {
    judge(context).catch((thrown: unknown) => {
      const error = GatewayError.from(thrown);
      // A store that is away tells nothing about the key.
      if (error.reason === "unauthenticated" || error.reason === "forbidden") lost.abort(error);
    });
  }, judgeMs);
  timer.unref();
  try {
    for await (const message of run({ ...context, signal: AbortSignal.any([context.signal, lost.signal]) })) {
      lost.signal.throwIfAborted();
      yield message;
    }
    lost.signal.throwIfAborted();
  } finally {
    clearInterval(timer);
  }
}
