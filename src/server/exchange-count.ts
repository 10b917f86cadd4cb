/** Counts every exchange of a port when it is over, refused ones and those whose client left included. */
import type { Clock } from "../core/clock.ts";
import type { Metrics } from "../core/metrics.ts";
import type { NodeRequest, NodeResponse } from "../core/node-handler.ts";
import { pathTemplateOf } from "../core/path-template.ts";

export type ExchangeCount = (request: NodeRequest, response: NodeResponse) => void;

/** What nothing matched: its path is what the client wrote. */
const unmatched = "other";
/** The client left before an answer began. */
const clientClosedRequest = 499;

export function createExchangeCount(metrics: Metrics, clock: Clock): ExchangeCount {
  return (request, response) => {
    const startedAt = clock.now();
    response.once("close", () => {
      const status = response.headersSent ? response.statusCode : clientClosedRequest;
      metrics.exchangeEnded(request.method ?? "", pathTemplateOf(request) ?? unmatched, status, clock.now() - startedAt);
    });
  };
}
