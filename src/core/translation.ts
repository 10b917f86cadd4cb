/**
 * The translation report of one attempt: what a target could not take as the client sent it. Writers of upstream
 * formats fill it; strict mode and losses of meaning turn it into a refusal with every path at once (contract.md 1).
 */
import { create } from "@bufbuild/protobuf";
import { TranslationAction, type TranslationNote, TranslationNoteSchema } from "../../gen/dragoman/v1/usage_pb.ts";
import { type FieldViolation, GatewayError } from "./error.ts";

export class TranslationReport {
  readonly format: string;
  readonly notes: TranslationNote[] = [];
  readonly #refused: FieldViolation[] = [];

  /** `format` is the wire format that is written, for example anthropic-messages. */
  constructor(format: string) {
    this.format = format;
  }

  /** Left out. `path` is in the core request: `sampling.top_k`, `messages[3].parts[0].cache`. */
  dropped(path: string, detail: string): void {
    this.#note(TranslationAction.DROPPED, path, detail);
  }

  /** Sent with another value. */
  coerced(path: string, detail: string): void {
    this.#note(TranslationAction.COERCED, path, detail);
  }

  /** Sent by other means. */
  emulated(path: string, detail: string): void {
    this.#note(TranslationAction.EMULATED, path, detail);
  }

  /** A value that the target requires was filled in. Legal in strict mode. */
  defaulted(path: string, detail: string): void {
    this.#note(TranslationAction.DEFAULTED, path, detail);
  }

  /** A loss of meaning: the call is refused, strict or not, once the whole request has been looked at. */
  refused(path: string, description: string): void {
    this.#refused.push({ field: path, description });
  }

  /** Call it when the request is written. Throws untranslatable. */
  settle(strict: boolean): void {
    const lost = strict ? this.notes.filter((note) => note.action !== TranslationAction.DEFAULTED) : [];
    const fields = [...this.#refused, ...lost.map(({ path, detail }) => ({ field: path, description: detail }))];
    const [first] = fields;
    if (first === undefined) return;
    const more = fields.length === 1 ? "" : ` (and ${fields.length - 1} more)`;
    throw new GatewayError("untranslatable", `${this.format} cannot express ${first.field}: ${first.description}${more}`, {
      fields,
      translation: this.notes,
    });
  }

  #note(action: TranslationAction, path: string, detail: string): void {
    this.notes.push(create(TranslationNoteSchema, { action, path, format: this.format, detail }));
  }
}
