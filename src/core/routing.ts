/** How a model's name becomes targets: what the pipeline needs of routing. */
import type { Model } from "../../gen/dragoman/v1/model_pb.ts";
import type { Provider } from "./provider.ts";
import type { Target } from "./target.ts";

/** What a model is asked to do. */
export type ModelRole = "generate" | "embed";

export interface Resolution {
  /** First to try first; never empty. */
  readonly targets: readonly Target[];
  /** The alias or route that was named; empty where the model was named directly. */
  readonly route: string;
  /** Most attempts of one call. */
  readonly maxAttempts: number;
}

export interface Router {
  /**
   * Targets of `route`, alias, `[@]provider/model` or a bare model id (surfaces.md 2.8). `preferred` is a configured
   * provider's name or empty. Throws GatewayError model_not_found, or invalid_request where `preferred` cannot serve it.
   */
  resolve(model: string, role: ModelRole, preferred: string): Resolution;
  provider(name: string): Provider | undefined;
  /** Routes first, then by id. */
  models(): Model[];
}

/** Who offers which model now. */
export interface Catalog {
  /** Providers (by name) that offer a bare model id, with the model's name there; empty where nobody does. */
  find(model: string): readonly { readonly provider: string; readonly model: string }[];
  /** Every model that is offered, each id once. */
  list(): Model[];
}
