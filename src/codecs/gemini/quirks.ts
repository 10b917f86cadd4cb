/** In what a service that speaks the Gemini API differs from generativelanguage.googleapis.com. */
export interface GeminiQuirks {
  /**
   * How schemas are written: as JSON Schema (`parametersJsonSchema`, `responseJsonSchema`) or in the subset of OpenAPI 3.0
   * that older services know (`parameters`, `responseSchema`). Default: json-schema.
   */
  readonly schemas?: "json-schema" | "openapi";
  /** Whether functionCall and functionResponse have an `id`. Default: true. */
  readonly toolCallIds?: boolean;
  /**
   * Whether calls that come without a signature, because another model made them or a client lost it, get Google's
   * documented bypass value; models that need signatures refuse the request otherwise. Default: true.
   */
  readonly signatureBypass?: boolean;
  /** Whether the request takes `labels`, as Vertex AI does. Default: false. */
  readonly labels?: boolean;
}
