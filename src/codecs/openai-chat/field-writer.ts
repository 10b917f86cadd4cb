/** Top-level fields of a request that not every server takes. */
import type { Writable, WritableObject } from "../../core/json.ts";
import type { WriteContext } from "./write-content.ts";

/** Writes top-level fields, unless the vendor's table says that it refuses them. */
export class FieldWriter {
  readonly #body: WritableObject;
  readonly #context: WriteContext;

  constructor(body: WritableObject, context: WriteContext) {
    this.#body = body;
    this.#context = context;
  }

  /** `corePath` is where the value stands in the core request; undefined values are left out. */
  put(field: string, corePath: string, value: Writable | undefined): void {
    if (value === undefined) return;
    const { quirks, report } = this.#context;
    if (quirks.refusedParameters?.includes(field)) report.dropped(corePath, `the target refuses ${field}`);
    else this.#body[field] = value;
  }
}
