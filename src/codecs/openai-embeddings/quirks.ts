/** How servers that speak OpenAI's Embeddings differ from OpenAI: plain data, filled in by a vendor's table. */
export interface OpenAiEmbeddingsQuirks {
  /** Below the base URL; default `/embeddings`. */
  readonly path?: string;
  /** False: knows no `encoding_format: base64`; numbers are asked for. Vectors in base64 cost a thirtieth to read. */
  readonly base64?: boolean;
  /** False: knows no `encoding_format` at all. */
  readonly encodingFormat?: boolean;
  /** False: knows no `dimensions`. */
  readonly dimensions?: boolean;
  /** False: takes texts only, no token ids. */
  readonly tokens?: boolean;
  /** Most inputs of one request; default 2048. */
  readonly maxInputs?: number;
  /** True: the end user's id is sent as `user`. */
  readonly sendUser?: boolean;
}
