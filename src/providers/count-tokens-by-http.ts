import { throwIfStopped } from "../core/call.ts";
import type { TokenCountCodec, UpstreamCodec } from "../core/dialect.ts";
import type { Provider } from "../core/provider.ts";
import { type HttpUpstream, isSuccess } from "./http-upstream.ts";
import { settleReport } from "./settle-report.ts";

/** Counts as the vendor does, in one of its formats. */
export function countTokensByHttp(
  upstream: HttpUpstream,
  counting: TokenCountCodec,
  { readError }: Pick<UpstreamCodec, "readError">,
): NonNullable<Provider["countTokens"]> {
  return async (request, target, call) => {
    throwIfStopped(call);
    const written = counting.writeRequest(request, target);
    settleReport(written.report, call);
    const reply = await upstream.post(written, target, call, call.signal);
    if (!isSuccess(reply.status)) throw await upstream.readError(reply, { readError });
    try {
      return counting.readResponse(await upstream.readJsonText(reply), upstream.name);
    } catch (thrown) {
      throw upstream.redacted(thrown);
    }
  };
}
