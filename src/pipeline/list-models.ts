/** ListModels: filters and pages over the router's list. */
import type { ListModelsRequest, Model } from "../../gen/dragoman/v1/model_pb.ts";
import { invalidField } from "../core/error.ts";

export function listModels(request: ListModelsRequest, all: readonly Model[]): { models: Model[]; nextPageToken: string } {
  const ids = new Set(request.ids);
  const models = all.filter(
    (model) =>
      (request.kind === 0 || model.kinds.includes(request.kind)) &&
      (request.provider === "" || model.providers.includes(request.provider)) &&
      (ids.size === 0 || ids.has(model.id)),
  );
  const start = startOf(request.pageToken, models);
  const page = models.slice(start, request.pageSize === undefined ? undefined : start + request.pageSize);
  const last = page.at(-1);
  const more = last !== undefined && start + page.length < models.length;
  return { models: page, nextPageToken: more ? Buffer.from(last.id).toString("base64url") : "" };
}

/** A token is the last id of the page before: it stays good when models come and go. */
function startOf(token: string, models: readonly Model[]): number {
  if (token === "") return 0;
  const after = Buffer.from(token, "base64url").toString();
  const at = models.findIndex(({ id }) => id === after);
  if (at === -1) throw invalidField("page_token", "is not a token of this list; start again without one");
  return at + 1;
}
