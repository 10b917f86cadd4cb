/**
 * Which models there are now, over all providers: what configuration names, what providers list, and what a name tells.
 * A provider that does not answer keeps the models it had.
 */
import { clone } from "@bufbuild/protobuf";
import { type Model, ModelSchema } from "../../gen/dragoman/v1/model_pb.ts";
import { GatewayError } from "../core/error.ts";
import type { Provider } from "../core/provider.ts";
import type { Catalog } from "../core/routing.ts";
import { httpLimits } from "./http-limits.ts";
import { createModel } from "./model-list.ts";

export interface CatalogOptions {
  /** Model names by provider that configuration states; they hold whatever the provider lists. */
  readonly configured?: Readonly<Record<string, readonly string[]>> | undefined;
  /** Told of a provider that did not list its models, once until it does again. */
  readonly onFailure?: ((provider: string, error: GatewayError) => void) | undefined;
  /** Milliseconds for one provider's list. */
  readonly timeoutMs?: number | undefined;
}

export interface LiveCatalog extends Catalog {
  /** Asks every provider at once; a refresh that is running is joined. Never throws: a failure removes nothing. */
  refresh(signal?: AbortSignal): Promise<void>;
}

/**
 * `providers` in order of preference for models that several offer. The array is read anew each time: providers that are
 * found later may be appended.
 */
export function createCatalog(providers: readonly Provider[], options: CatalogOptions = {}): LiveCatalog {
  return new ProviderCatalog(providers, options);
}

class ProviderCatalog implements LiveCatalog {
  readonly #providers: readonly Provider[];
  readonly #options: CatalogOptions;
  readonly #configured = new Map<string, Map<string, Model>>();
  readonly #discovered = new Map<string, Map<string, Model>>();
  readonly #failing = new Set<string>();
  #refreshing: Promise<void> | undefined;
  #list: Model[] | undefined;

  constructor(providers: readonly Provider[], options: CatalogOptions) {
    this.#providers = providers;
    this.#options = options;
    for (const provider of providers) {
      const models = (options.configured?.[provider.name] ?? []).flatMap((id) => {
        const model = createModel({ id }, provider.name);
        return model === undefined ? [] : [complete(model, provider)];
      });
      this.#configured.set(provider.name, new Map(models.map((model) => [model.id, model])));
    }
  }

  find(model: string): readonly { readonly provider: string; readonly model: string }[] {
    const names: string[] = [];
    for (const source of [this.#configured, this.#discovered]) {
      for (const { name, listsFullNames } of this.#providers) {
        if (listsFullNames !== true && source.get(name)?.has(model) === true && !names.includes(name)) names.push(name);
      }
    }
    // A name's vendor is asked only where no list has the name: lists know better.
    return (names.length > 0 ? names : this.#claiming(model)).map((provider) => ({ provider, model }));
  }

  /** Whose it is by its name alone. `claude-eu/x` is not Anthropic's where there is a provider `claude-eu`. */
  #claiming(model: string): string[] {
    const first = model.slice(0, Math.max(0, model.indexOf("/")));
    if (this.#providers.some(({ name }) => name === first)) return [];
    // Only vendors whose models may be named without them.
    return this.#providers
      .filter((provider) => provider.listsFullNames !== true && provider.claims?.(model) === true)
      .map(({ name }) => name);
  }

  list(): Model[] {
    this.#list ??= this.#merge();
    return this.#list;
  }

  refresh(signal?: AbortSignal): Promise<void> {
    this.#refreshing ??= this.#refreshAll(signal).finally(() => {
      this.#refreshing = undefined;
    });
    return this.#refreshing;
  }

  async #refreshAll(signal: AbortSignal | undefined): Promise<void> {
    await Promise.all(this.#providers.map((provider) => this.#refreshOne(provider, signal)));
    this.#list = undefined;
  }

  async #refreshOne(provider: Provider, signal: AbortSignal | undefined): Promise<void> {
    if (provider.listModels === undefined) return;
    const limit = new AbortController();
    const timeoutMs = this.#options.timeoutMs ?? httpLimits.modelListMs;
    const timer = setTimeout(
      () => limit.abort(new GatewayError("timeout", `${provider.name} did not list its models within ${timeoutMs} ms`)),
      timeoutMs,
    );
    try {
      const models = await provider.listModels(signal === undefined ? limit.signal : AbortSignal.any([signal, limit.signal]));
      this.#discovered.set(provider.name, new Map(models.map((model) => [model.id, complete(model, provider)])));
      this.#list = undefined;
      this.#failing.delete(provider.name);
    } catch (thrown) {
      if (signal?.aborted === true || this.#failing.has(provider.name)) return;
      this.#failing.add(provider.name);
      this.#options.onFailure?.(provider.name, GatewayError.from(thrown));
    } finally {
      clearTimeout(timer);
    }
  }

  /** Each id once, with every provider that offers it; the facts of the first that has them. */
  #merge(): Model[] {
    const merged = new Map<string, Model>();
    for (const source of [this.#configured, this.#discovered]) {
      for (const { name, listsFullNames } of this.#providers) {
        for (const model of source.get(name)?.values() ?? []) {
          const id = listsFullNames === true ? `${name}/${model.id}` : model.id;
          const known = merged.get(id);
          if (known === undefined) merged.set(id, { ...clone(ModelSchema, model), id, providers: [name] });
          else enrich(known, model, name);
        }
      }
    }
    return [...merged.values()].sort((left, right) => (left.id < right.id ? -1 : 1));
  }
}

/** What the name alone tells, where the list does not. */
function complete(model: Model, provider: Provider): Model {
  const { contextWindow, maxOutputTokens, embeddingDimensions } = provider.traits(model.id);
  if (contextWindow !== undefined) model.contextWindow ??= contextWindow;
  if (maxOutputTokens !== undefined) model.maxOutputTokens ??= maxOutputTokens;
  if (embeddingDimensions !== undefined) model.embeddingDimensions ??= embeddingDimensions;
  return model;
}

function enrich(known: Model, model: Model, provider: string): void {
  if (!known.providers.includes(provider)) known.providers.push(provider);
  if (model.createdAt !== undefined) known.createdAt ??= model.createdAt;
  if (model.contextWindow !== undefined) known.contextWindow ??= model.contextWindow;
  if (model.maxInputTokens !== undefined) known.maxInputTokens ??= model.maxInputTokens;
  if (model.maxOutputTokens !== undefined) known.maxOutputTokens ??= model.maxOutputTokens;
  if (model.embeddingDimensions !== undefined) known.embeddingDimensions ??= model.embeddingDimensions;
  if (known.displayName === "") known.displayName = model.displayName;
  if (known.description === "") known.description = model.description;
}
