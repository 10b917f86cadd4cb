/** Which call a result answers. Calls and results of this API may have no ids: name and order tell then. */

export interface OpenCall {
  readonly id: string;
  readonly name: string;
  /** The content that the call stands in. */
  readonly content: number;
}

/** The calls of one name in one content. */
interface Group {
  readonly content: number;
  readonly calls: OpenCall[];
  /** Those before it are answered. */
  next: number;
}

/** The calls of one conversation, in their order. */
export class CallPairs {
  readonly #byId = new Map<string, OpenCall[]>();
  readonly #byName = new Map<string, Group[]>();
  readonly #answered = new Set<OpenCall>();

  add(call: OpenCall): void {
    const same = this.#byId.get(call.id);
    if (same === undefined) this.#byId.set(call.id, [call]);
    else same.push(call);
    const groups = this.#byName.get(call.name) ?? [];
    this.#byName.set(call.name, groups);
    const last = groups.at(-1);
    if (last?.content === call.content) last.calls.push(call);
    else groups.push({ content: call.content, calls: [call], next: 0 });
  }

  /** The call of that id, else the first of that name in the latest content that has an open one. Each is given once. */
  answer(id: string, name: string): OpenCall | undefined {
    const call = (id === "" ? undefined : this.#lastOfId(id)) ?? this.#firstOfName(name);
    if (call !== undefined) this.#answered.add(call);
    return call;
  }

  #lastOfId(id: string): OpenCall | undefined {
    const calls = this.#byId.get(id) ?? [];
    for (let call = calls.pop(); call !== undefined; call = calls.pop()) if (!this.#answered.has(call)) return call;
    return undefined;
  }

  #firstOfName(name: string): OpenCall | undefined {
    const groups = this.#byName.get(name) ?? [];
    for (let group = groups.at(-1); group !== undefined; group = groups.at(-1)) {
      for (let call = group.calls[group.next]; call !== undefined; call = group.calls[group.next]) {
        group.next++;
        if (!this.#answered.has(call)) return call;
      }
      groups.pop();
    }
    return undefined;
  }
}
