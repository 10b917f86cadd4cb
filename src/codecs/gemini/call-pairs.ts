/** Which call a result answers. Calls and results of this API may have no ids: name and order tell then. */

export interface OpenCall {
  readonly id: string;
  readonly name: string;
  /** The content that the call stands in. */
  readonly content: number;
}

/** The calls of one conversation, in their order. */
export class CallPairs {
  #open: OpenCall[] = [];

  add(call: OpenCall): void {
    this.#open.push(call);
  }

  /** The call of that id, else the first of that name in the latest content that has an open one. Each is given once. */
  answer(id: string, name: string): OpenCall | undefined {
    const call = this.#open.findLast((candidate) => id !== "" && candidate.id === id) ?? this.#firstOfName(name);
    if (call !== undefined) this.#open = this.#open.filter((candidate) => candidate !== call);
    return call;
  }

  #firstOfName(name: string): OpenCall | undefined {
    const latest = this.#open.findLast((candidate) => candidate.name === name);
    return this.#open.find((candidate) => candidate.name === name && candidate.content === latest?.content);
  }
}
