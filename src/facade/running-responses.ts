/**
 * Streamed answers of OpenAI Responses that are given now: they can be looked at and stopped by their id, also by a request
 * that reached another worker.
 */
import type { WorkerLink } from "../core/worker-link.ts";

/** No other caller finds it. */
export interface ResponseName {
  readonly tenant: string;
  readonly owner: string;
  readonly id: string;
}

export interface RunningResponse extends ResponseName {
  readonly inputItemsJson: readonly string[];
  /** JSON text of the response object as it stands now. */
  json(): string;
  /** Stops the call. Resolves when the answer is stored: as cancelled, unless it was complete before. */
  cancel(): Promise<void>;
  /** Lets the call go on; its answer will not be kept. */
  discard(): void;
}

/** What can be told of an answer, by whichever process gives it. */
export interface FoundResponse {
  readonly json: string;
  readonly inputItemsJson: readonly string[];
}

/** Topics of WorkerLink.askAll. Bodies are ResponseName; answers FoundResponse or null, and whether it ran there. */
const topics = { look: "responses.look", cancel: "responses.cancel", discard: "responses.discard" } as const;
/** A cancelled call ends and is stored within this time, in milliseconds. */
const cancelMs = 10_000;

export class RunningResponses {
  readonly #running = new Map<string, RunningResponse>();
  readonly #link: WorkerLink | undefined;

  constructor(link?: WorkerLink) {
    this.#link = link;
    link?.serve(topics.look, (name) => this.#lookHere(name as ResponseName) ?? null);
    link?.serve(topics.cancel, (name) => this.#cancelHere(name as ResponseName));
    link?.serve(topics.discard, (name) => this.#discardHere(name as ResponseName));
  }

  /** Gives the function that takes it out again. */
  add(response: RunningResponse): () => void {
    const key = keyOf(response);
    this.#running.set(key, response);
    return () => {
      if (this.#running.get(key) === response) this.#running.delete(key);
    };
  }

  /** In this process. */
  here(name: ResponseName): FoundResponse | undefined {
    return this.#lookHere(name);
  }

  /** In another worker; undefined where there is none. */
  async elsewhere(name: ResponseName): Promise<FoundResponse | undefined> {
    const answers = await this.#askOthers(topics.look, name);
    return answers.find((answer) => answer !== null) as FoundResponse | undefined;
  }

  /** Stops it wherever it runs. What does not run is left as it is. */
  async cancel(name: ResponseName): Promise<void> {
    if (!(await this.#cancelHere(name))) await this.#askOthers(topics.cancel, name, cancelMs);
  }

  /** Whether it ran, here or elsewhere. */
  async discard(name: ResponseName): Promise<boolean> {
    return this.#discardHere(name) || (await this.#askOthers(topics.discard, name)).includes(true);
  }

  /** This process answers too, with what was known here already. */
  async #askOthers(topic: string, { tenant, owner, id }: ResponseName, timeoutMs?: number): Promise<readonly unknown[]> {
    const body: ResponseName = { tenant, owner, id };
    return this.#link === undefined ? [] : this.#link.askAll(topic, body, timeoutMs === undefined ? {} : { timeoutMs });
  }

  #lookHere(name: ResponseName): FoundResponse | undefined {
    const response = this.#running.get(keyOf(name));
    return response === undefined ? undefined : { json: response.json(), inputItemsJson: response.inputItemsJson };
  }

  async #cancelHere(name: ResponseName): Promise<boolean> {
    const response = this.#running.get(keyOf(name));
    await response?.cancel();
    return response !== undefined;
  }

  #discardHere(name: ResponseName): boolean {
    const response = this.#running.get(keyOf(name));
    response?.discard();
    return response !== undefined;
  }
}

function keyOf({ tenant, owner, id }: ResponseName): string {
  return `${tenant}\u0000${owner}\u0000${id}`;
}
