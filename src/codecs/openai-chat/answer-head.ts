/** What stands at the top of every answer and every frame: id, time, model. */
import type { Started } from "../../../gen/dragoman/v1/generate_pb.ts";
import type { AnswerFacts } from "../../core/dialect.ts";

export interface AnswerHead {
  /** The provider's id where it is one of this format, else the gateway's. */
  readonly id: string;
  /** Seconds since 1970. */
  readonly created: number;
  readonly model: string;
  /** Empty where the provider gave none. */
  readonly systemFingerprint: string;
}

const idPrefix = "chatcmpl-";

/** `model` is what the client asked for, where the provider does not name the one that answers. */
export function answerHead(started: Started | undefined, facts: AnswerFacts, model: string): AnswerHead {
  const upstreamId = started?.upstreamId ?? "";
  return {
    id: upstreamId.startsWith(idPrefix) ? upstreamId : `${idPrefix}${facts.generationId}`,
    created: started?.createdAt === undefined ? facts.created : Number(started.createdAt.seconds),
    model: started?.servedModel || started?.requestedModel || model,
    systemFingerprint: started?.systemFingerprint ?? "",
  };
}
