/** The prices that a list of models shows. */
import type { Model } from "../../gen/dragoman/v1/model_pb.ts";
import type { PriceBook } from "../core/pricing.ts";

/**
 * Copies with what small inputs cost the tenant now. Of a model that several providers serve at different prices nothing is
 * said: which one answers is not known beforehand.
 */
export function priceModels(models: readonly Model[], prices: PriceBook, tenant: string, at: number): Model[] {
  return models.map((model) => {
    const upstream = model.upstreamModel === "" ? model.id : model.upstreamModel;
    if (model.isRoute && model.upstreamModel === "") return model;
    const found = model.providers.map((provider) => {
      // The gateway's own models are listed with their provider's name.
      const name = upstream.startsWith(`${provider}/`) ? upstream.slice(provider.length + 1) : upstream;
      return prices.price({ tenant, provider, model: name, at })?.tiers[0]?.rates;
    });
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
