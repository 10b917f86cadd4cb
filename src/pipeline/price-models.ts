/** The prices that a list of models shows. */
import type { Model } from "../../gen/dragoman/v1/model_pb.ts";
import type { PriceBook } from "../core/pricing.ts";

/** Where a model of the list leads; nowhere for sure where a route has models of several names. */
export function targetsOf({ id, providers, upstreamModel, isRoute }: Model): { readonly provider: string; readonly model: string }[] {
  if (isRoute && upstreamModel === "") return [];
  const model = upstreamModel === "" ? id : upstreamModel;
  // The gateway's own models are listed with their provider's name.
  return providers.map((provider) => ({
    provider,
    model: model.startsWith(`${provider}/`) ? model.slice(provider.length + 1) : model,
  }));
}

/**
 * Copies with what small inputs cost the tenant now. Of a model that several providers serve at different prices nothing is
 * said: which one answers is not known beforehand.
 */
export function priceModels(models: readonly Model[], prices: PriceBook, tenant: string, at: number): Model[] {
  return models.map((model) => {
    const found = targetsOf(model).map((target) => prices.price({ tenant, ...target, at })?.tiers[0]?.rates);
    const [first] = found;
    if (first === undefined) return model;
    const agreed = (rate: string) => (found.every((rates) => rates?.[rate] === first[rate]) ? first[rate] : undefined);
    const priced = { ...model };
    const [input, output, cacheRead] = [agreed("input"), agreed("output"), agreed("cache_read")];
    if (input !== undefined) priced.inputPriceNanoUsdPer1m = input;
    if (output !== undefined) priced.outputPriceNanoUsdPer1m = output;
    if (cacheRead !== undefined) priced.cacheReadPriceNanoUsdPer1m = cacheRead;
    return priced;
  });
}
