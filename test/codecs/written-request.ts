/** What a codec made of a request, as tests look at it. */
import { TranslationAction } from "../../gen/dragoman/v1/usage_pb.ts";
import type { UpstreamRequest } from "../../src/core/dialect.ts";
import { GatewayError } from "../../src/core/error.ts";

export interface WrittenRequest<Body> extends UpstreamRequest {
  /** The body, parsed. */
  readonly json: Body;
  /** `ACTION path`, in order of their writing. */
  readonly notes: string[];
  /** Paths of what is refused, strict or not. */
  readonly refused: string[];
}

const actionNames = new Map<number, string>(Object.entries(TranslationAction).map(([name, action]) => [action, name]));

export function lookAt<Body>(upstream: UpstreamRequest): WrittenRequest<Body> {
  const notes = upstream.report.notes.map(({ action, path }) => `${actionNames.get(action)} ${path}`);
  return { ...upstream, json: JSON.parse(upstream.body) as Body, notes, refused: refusedPaths(upstream) };
}

export function refusedPaths({ report }: Pick<UpstreamRequest, "report">): string[] {
  try {
    report.settle(false);
    return [];
  } catch (error) {
    if (error instanceof GatewayError) return (error.details.fields ?? []).map(({ field }) => field);
    throw error;
  }
}
