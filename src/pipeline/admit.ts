/** Admission: may the caller do this, what does the model's name mean, is there room. Holds its place until the end. */
import type { Attribution, CallOptions } from "../../gen/dragoman/v1/call_pb.ts";
import { requireModel, requireRule } from "../core/access.ts";
import type { Call } from "../core/call.ts";
import type { Clock } from "../core/clock.ts";
import { GatewayError } from "../core/error.ts";
import type { EventBatch } from "../core/event.ts";
import { concurrencyHeaders } from "../core/rate-limit-headers.ts";
import type { ModelRole, Router } from "../core/routing.ts";
import type { Stage } from "./stage.ts";

export interface AdmissionOptions {
  readonly router: Router;
  readonly clock: Clock;
  /** Most calls at once per model and role (surfaces.md 2.6). */
  readonly maxQueue: number;
}

/** When to come again: nobody knows when a call ends. */
const queueFullMs = 1_000;

/** What every request that names a model has. */
interface ModelRequest {
  model: string;
  attribution?: Attribution | undefined;
  options?: CallOptions | undefined;
}

/** The places inside, per model and role. */
export class Admission {
  readonly #options: AdmissionOptions;
  readonly #inside = new Map<string, number>();

  constructor(options: AdmissionOptions) {
    this.#options = options;
  }

  /** Calls inside now, over all models. */
  get inflight(): number {
    let sum = 0;
    for (const count of this.#inside.values()) sum += count;
    return sum;
  }

  /** The places that are taken, with the model's name at its first target. */
  *places(): Generator<{ readonly model: string; readonly role: string; readonly count: number }> {
    for (const [place, count] of this.#inside) {
      const space = place.indexOf(" ");
      yield { model: place.slice(space + 1), role: place.slice(0, space), count };
    }
  }

  /**
   * The call with its targets, and the function that gives its place back (the first time counts). Throws GatewayError:
   * forbidden, policy_not_found, unsupported, model_not_found, queue_full.
   */
  enter(call: Call, model: string, role: ModelRole): { admitted: Call; release: () => void } {
    requireRule(call.principal, { scope: role === "embed" ? "embed" : "chat", role: "member", auditor: false });
    refuseWhatCannotBeKept(call, role);
    const { targets, route, maxAttempts } = this.#resolve(call, model, role);
    if (call.resolved !== undefined) Object.assign(call.resolved, { model: targets[0]?.model ?? "", route });
    // Judged by what the name became, so that no other way of writing it leads there.
    requireModel(call.principal, { name: model, targets });
    const place = `${role} ${targets[0]?.model ?? model}`;
    const inside = this.#inside.get(place) ?? 0;
    if (inside >= this.#options.maxQueue) {
      throw new GatewayError("queue_full", `${inside} calls of this model are running, which is the most`, {
        retryAfterMs: queueFullMs,
        headers: concurrencyHeaders(this.#options.maxQueue, queueFullMs),
        violations: [{ subject: "model/admission", description: `${this.#options.maxQueue} calls of one model may run at once` }],
        undispatched: true,
      });
    }
    this.#inside.set(place, inside + 1);
    let held = true;
    const release = (): void => {
      if (!held) return;
      held = false;
      const left = (this.#inside.get(place) ?? 1) - 1;
      if (left === 0) this.#inside.delete(place);
      else this.#inside.set(place, left);
    };
    return { admitted: { ...call, targets, route, maxAttempts }, release };
  }

  /** Times itself: a router may have a long list to look through. */
  #resolve({ options, timings }: Call, model: string, role: ModelRole): ReturnType<Router["resolve"]> {
    const { router, clock } = this.#options;
    const startedAt = clock.now();
    try {
      return router.resolve(model, role, options?.provider ?? "");
    } finally {
      if (timings !== undefined) timings.modelResolve = clock.now() - startedAt;
    }
  }
}

/** For operations that stream. */
export function admitStream<Request extends ModelRequest>(
  admission: Admission,
  role: ModelRole,
): Stage<Request, AsyncIterable<EventBatch>> {
  return (next) => (request, call) => {
    const { admitted, release } = admission.enter(call, request.model, role);
    return releaseAtEnd(next(withFactsOf(request, admitted), admitted), release);
  };
}

/** For operations that answer once. */
export function admitReply<Request extends ModelRequest, Reply>(admission: Admission, role: ModelRole): Stage<Request, Promise<Reply>> {
  return (next) => async (request, call) => {
    const { admitted, release } = admission.enter(call, request.model, role);
    try {
      return await next(withFactsOf(request, admitted), admitted);
    } finally {
      release();
    }
  };
}

/** A promise that cannot be kept is refused, not ignored. */
function refuseWhatCannotBeKept({ options, principal }: Call, role: ModelRole): void {
  if (options === undefined) return;
  if (options.explain && role === "embed") throw new GatewayError("unsupported", "embeddings have no plan; leave options.explain out");
  if (options.policy !== "" && options.policy !== principal.app)
    throw new GatewayError("policy_not_found", `there is no policy with the key "${options.policy}"`);
  if (options.resumable) throw new GatewayError("unsupported", "resumable streams are not available; leave options.resumable out");
}

/** The request with what headers said. */
function withFactsOf<Request extends ModelRequest>(request: Request, { attribution, options }: Call): Request {
  return { ...request, attribution, options };
}

/** An iterator around another, not a generator: it adds no layer of buffering to every event. */
function releaseAtEnd(source: AsyncIterable<EventBatch>, release: () => void): AsyncIterable<EventBatch> {
  return {
    [Symbol.asyncIterator]() {
      const inner = source[Symbol.asyncIterator]();
      return {
        async next() {
          try {
            const result = await inner.next();
            if (result.done) release();
            return result;
          } catch (thrown) {
            release();
            throw thrown;
          }
        },
        async return() {
          try {
            await inner.return?.();
          } finally {
            release();
          }
          return { done: true, value: undefined };
        },
      };
    },
  };
}
