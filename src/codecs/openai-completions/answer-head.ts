/** What stands at the top of every answer and every frame: id, kind, time, model. */
import type { Started } from "../../../gen/dragoman/v1/generate_pb.ts";
import type { AnswerFacts } from "../../core/dialect.ts";
import type { WritableObject } from "../../core/json.ts";

const idPrefix = "cmpl-";

/** `model` is what the client asked for, where the provider does not name the one that answers. */
export function answerHead(started: Started | undefined, { generationId, created }: AnswerFacts, model: string): WritableObject {
  const upstreamId = started?.upstreamId ?? "";
  return {
    id: upstreamId.startsWith(idPrefix) ? upstreamId : `${idPrefix}${generationId}`,
    object: "text_completion",
    created: started?.createdAt === undefined ? created : Number(started.createdAt.seconds),
    model: started?.servedModel || started?.requestedModel || model,
    system_fingerprint: started?.systemFingerprint || undefined,
  };
}
