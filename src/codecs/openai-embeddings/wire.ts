/** The words of OpenAI's Embeddings wire format (openai 7.55, resources/embeddings). */
export const format = "openai-embeddings";
export const path = "/embeddings";

/** Most inputs of one request (API reference, `input`). */
export const maxInputs = 2048;

/** How the client wants its vectors: numbers, or base64 of little-endian float32. */
export type Encoding = "float" | "base64";
