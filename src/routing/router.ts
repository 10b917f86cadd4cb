/** Model reference to ordered targets (surfaces.md 2.8). */
import { create } from "@bufbuild/protobuf";
import { type Model, ModelKind, ModelSchema } from "../../gen/dragoman/v1/model_pb.ts";
import { GatewayError, invalidField } from "../core/error.ts";
import type { Provider } from "../core/provider.ts";
import type { Catalog, ModelRole, Resolution, Router } from "../core/routing.ts";
import type { ModelTraits, Target } from "../core/target.ts";

export type Strategy = "fallback" | "round-robin";

export interface RouteSettings {
  /** `fallback` begins with the first target every time, `round-robin` with the next one. */
  readonly strategy: Strategy;
  readonly targets: readonly { readonly provider: string; readonly model: string }[];
  readonly maxAttempts: number;
}

export interface RouterOptions {
  /** By name; providers that are found later may be added. */
  readonly providers: ReadonlyMap<string, Provider>;
  readonly routes: Readonly<Record<string, RouteSettings>>;
  /** Name to any other reference: a route, `provider/model` or a bare id; never another alias. */
  readonly aliases: Readonly<Record<string, string>>;
  /** What the operator knows of models, by `provider/model`. */
  readonly models: Readonly<Record<string, ModelTraits>>;
  readonly catalog: Catalog;
  /** Most attempts where no route says. */
  readonly maxAttempts: number;
}

export function createRouter(options: RouterOptions): Router {
  const { providers } = options;
  /** Where the next call of a round-robin route begins. */
  const turns = new Map<string, number>();

  function resolve(model: string, role: ModelRole, preferred: string): Resolution {
    const alias = own(options.aliases, model);
    const reference = alias ?? model;
    const route = own(options.routes, reference);
    const targets = route === undefined ? direct(reference, preferred) : ordered(reference, route);
    const able = targets.filter(({ provider }) => serves(providers.get(provider), role));
    if (able.length === 0) throw notFound(model, role);
    const chosen = preferred === "" ? able : able.filter(({ provider }) => provider === preferred);
    if (chosen.length === 0) {
      throw invalidField("options.provider", `"${preferred}" does not serve this model; leave it out or name one that does`);
    }
    return {
      targets: chosen,
      route: alias !== undefined || route !== undefined ? model : "",
      maxAttempts: route?.maxAttempts ?? options.maxAttempts,
    };
  }

  /** A reference that is no route: a catalog id, `[@]provider/model`, or a bare id of a preferred provider. */
  function direct(reference: string, preferred: string): Target[] {
    const offered = options.catalog.find(reference);
    // Who lists nothing may serve what it is asked for.
    const unlisted = preferred !== "" && providers.get(preferred)?.listModels === undefined && providers.has(preferred);
    if (offered.length > 0 && unlisted && !offered.some(({ provider }) => provider === preferred)) return [target(preferred, reference)];
    if (offered.length > 0) return offered.map(({ provider, model }) => target(provider, model));
    const slash = reference.indexOf("/");
    const named = reference.slice(reference.startsWith("@") ? 1 : 0, Math.max(slash, 0));
    if (slash !== -1 && providers.has(named)) return [target(named, reference.slice(slash + 1))];
    return preferred !== "" && providers.has(preferred) ? [target(preferred, reference)] : [];
  }

  function ordered(name: string, { strategy, targets }: RouteSettings): Target[] {
    const all = targets.map(({ provider, model }) => target(provider, model));
    if (strategy === "fallback") return all;
    const turn = turns.get(name) ?? 0;
    turns.set(name, (turn + 1) % all.length);
    return [...all.slice(turn), ...all.slice(0, turn)];
  }

  function target(provider: string, model: string): Target {
    const id = `${provider}/${model}`;
    return { id, provider, model, traits: { ...providers.get(provider)?.traits(model), ...own(options.models, id) } };
  }

  function routeModel(id: string, strategy: string, references: readonly { provider: string; model: string }[]): Model {
    return create(ModelSchema, {
      id,
      ownedBy: "dragoman",
      isRoute: true,
      routingStrategy: strategy,
      providers: [...new Set(references.map(({ provider }) => provider))],
      upstreamModel: references.length === 1 ? (references[0]?.model ?? "") : "",
      kinds: kindsOf(references),
      available: true,
    });
  }

  function kindsOf(references: readonly { provider: string; model: string }[]): ModelKind[] {
    const embeds = references.some(({ provider, model }) => target(provider, model).traits.embeddingDimensions !== undefined);
    return [embeds ? ModelKind.EMBED : ModelKind.GENERATE];
  }

  return {
    resolve,
    provider: (name) => providers.get(name),
    models() {
      const routes = Object.entries(options.routes).map(([name, { strategy, targets }]) => routeModel(name, strategy, targets));
      const aliases = Object.entries(options.aliases).map(([name, reference]) => {
        const route = own(options.routes, reference);
        return route === undefined ? routeModel(name, "", direct(reference, "")) : routeModel(name, route.strategy, route.targets);
      });
      const named = [...routes, ...aliases].sort(byId);
      const taken = new Set(named.map(({ id }) => id));
      return [
        ...named,
        ...options.catalog
          .list()
          .filter(({ id }) => !taken.has(id))
          .sort(byId),
      ];
    },
  };
}

function byId(left: Model, right: Model): number {
  return left.id < right.id ? -1 : left.id > right.id ? 1 : 0;
}

function serves(provider: Provider | undefined, role: ModelRole): boolean {
  return provider !== undefined && (role === "embed" ? provider.embed !== undefined : provider.generate !== undefined);
}

function notFound(model: string, role: ModelRole): GatewayError {
  const use = role === "embed" ? "embedding" : "generation";
  return new GatewayError(
    "model_not_found",
    `no model "${model}" for ${use} is configured; GET /v1/models lists what there is, and provider/model names any model of a configured provider`,
    { fields: [{ field: "model", description: "names no configured model" }] },
  );
}

/** A client's word is a key here: `constructor` must not find anything. */
function own<Value>(record: Readonly<Record<string, Value>>, key: string): Value | undefined {
  return Object.hasOwn(record, key) ? record[key] : undefined;
}
