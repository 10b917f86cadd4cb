/** Streamed answers of OpenAI Responses that this process is giving now: they can be looked at and stopped by their id. */

export interface RunningResponse {
  readonly id: string;
  readonly tenant: string;
  /** Whose it is within the tenant: no other caller finds it. */
  readonly owner: string;
  readonly inputItemsJson: readonly string[];
  /** JSON text of the response object as it stands now. */
  json(): string;
  /** Stops the call. Resolves when the answer is stored: as cancelled, unless it was complete before. */
  cancel(): Promise<void>;
  /** Lets the call go on; its answer will not be kept. */
  discard(): void;
}

export class RunningResponses {
  readonly #running = new Map<string, RunningResponse>();

  /** Gives the function that takes it out again. */
  add(response: RunningResponse): () => void {
    const key = keyOf(response.tenant, response.owner, response.id);
    this.#running.set(key, response);
    return () => {
      if (this.#running.get(key) === response) this.#running.delete(key);
    };
  }

  get(tenant: string, owner: string, id: string): RunningResponse | undefined {
    return this.#running.get(keyOf(tenant, owner, id));
  }
}

function keyOf(tenant: string, owner: string, id: string): string {
  return `${tenant}\u0000${owner}\u0000${id}`;
}
