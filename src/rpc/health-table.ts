/** grpc.health.v1.Health (https://github.com/grpc/grpc/blob/master/doc/health-checking.md) over a table that the server changes. */
import { Code, ConnectError, type ServiceImpl } from "@connectrpc/connect";
import { type Health, HealthCheckResponse_ServingStatus as ServingStatus } from "../../gen/grpc/health/v1/health_pb.ts";

export { ServingStatus };

export class HealthTable {
  readonly #statuses = new Map<string, ServingStatus>([["", ServingStatus.SERVING]]);
  readonly #watchers = new Set<() => void>();
  #draining = false;

  /** Whether the server is about to stop. */
  get draining(): boolean {
    return this.#draining;
  }

  /** The empty name is the server as a whole. */
  set(service: string, status: ServingStatus): void {
    this.#statuses.set(service, status);
    this.#wake();
  }

  /**
   * Everything is NOT_SERVING from now on, and every Watch ends after saying so: an open one would hold the server for
   * its whole grace. Called before the listener closes, so that load balancers stop sending.
   */
  drain(): void {
    this.#draining = true;
    for (const service of this.#statuses.keys()) this.#statuses.set(service, ServingStatus.NOT_SERVING);
    this.#wake();
  }

  readonly service: ServiceImpl<typeof Health> = {
    check: ({ service }) => {
      const status = this.#statuses.get(service);
      // The health protocol asks for NOT_FOUND here, not for a status.
      if (status === undefined) throw new ConnectError("unknown service", Code.NotFound);
      return { status };
    },

    list: () => ({ statuses: Object.fromEntries([...this.#statuses].map(([name, status]) => [name, { status }])) }),

    // Ends only with drain(); an unknown service is a status here, not an error: it may be registered later.
    watch: (request, context) => this.#watch(request.service, context.signal),
  };

  #wake(): void {
    for (const wake of this.#watchers) wake();
  }

  async *#watch(service: string, signal: AbortSignal): AsyncGenerator<{ status: ServingStatus }> {
    let wake = (): void => {};
    const onChange = (): void => wake();
    this.#watchers.add(onChange);
    signal.addEventListener("abort", onChange);
    try {
      let sent: ServingStatus | undefined;
      while (!signal.aborted) {
        // Armed before the look: no change is missed.
        const changed = new Promise<void>((resolve) => {
          wake = resolve;
        });
        const status = this.#statuses.get(service) ?? ServingStatus.SERVICE_UNKNOWN;
        if (status !== sent) {
          sent = status;
          yield { status };
        } else if (this.#draining) {
          return;
        } else {
          await changed;
        }
      }
    } finally {
      this.#watchers.delete(onChange);
      signal.removeEventListener("abort", onChange);
    }
  }
}
