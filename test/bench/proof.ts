/** One thorough look at a server's answers before it is timed: the loads check every answer, but not every number in it. */
import { chatText, markerPattern, vectors } from "./answers.ts";
import { chatLoad, embeddingsLoad, type HttpLoad, messagesLoad, messagesStreamLoad, streamLoad } from "./load-http.ts";
import type { Group, Load, LoadGround } from "./loads.ts";
import type { Server } from "./servers.ts";

const records = 40;

interface ChatAnswer {
  readonly choices?: readonly { readonly message?: { readonly content?: string }; readonly finish_reason?: string }[];
  readonly usage?: { readonly total_tokens?: number };
}

interface MessagesAnswer {
  readonly content?: readonly { readonly text?: string }[];
  readonly stop_reason?: string;
  readonly usage?: { readonly output_tokens?: number };
}

interface EmbeddingsAnswer {
  readonly data?: readonly { readonly index: number; readonly embedding: readonly number[] | string }[];
}

async function post(server: Server, load: HttpLoad): Promise<string> {
  const response = await fetch(`http://127.0.0.1:${server.port}${load.path}`, {
    method: "POST",
    headers: { "content-type": "application/json", "accept-encoding": "identity", ...server.headers },
    body: JSON.stringify(load.body(server.model)),
    signal: AbortSignal.timeout(10_000),
  });
  const text = await response.text();
  if (response.status !== 200) throw new Error(`status ${response.status}: ${text.slice(0, 200)}`);
  return text;
}

function expect(holds: boolean | undefined, what: string): void {
  if (!holds) throw new Error(what);
}

async function proveChat(server: Server): Promise<void> {
  const { choices, usage } = JSON.parse(await post(server, chatLoad)) as ChatAnswer;
  expect(choices?.[0]?.message?.content === chatText, "the text of the chat answer is not the upstream's");
  expect(choices?.[0]?.finish_reason === "stop", "the finish reason is not the upstream's");
  expect(usage?.total_tokens === 330, "the usage is not the upstream's");
}

async function proveStream(server: Server): Promise<void> {
  const text = await post(server, streamLoad(records, 0));
  const numbers = [...text.matchAll(markerPattern)].map((match) => Number(match[1]));
  expect(numbers.length === records && numbers.every((number, index) => number === index), "the stream's records are not the upstream's");
  expect(text.includes('"total_tokens":330'), "the stream has no usage record");
  expect(text.split("data: [DONE]").length === 2 && text.endsWith("data: [DONE]\n\n"), "the stream does not end with one [DONE]");
}

async function proveMessages(server: Server): Promise<void> {
  const { content, stop_reason, usage } = JSON.parse(await post(server, messagesLoad)) as MessagesAnswer;
  expect(content?.[0]?.text === chatText, "the text of the translated answer is not the upstream's");
  expect(stop_reason === "end_turn", "the stop reason is not the upstream's");
  expect(usage?.output_tokens === 118, "the usage is not the upstream's");
  const numbers = [...(await post(server, messagesStreamLoad(records, 0))).matchAll(markerPattern)].map((match) => Number(match[1]));
  expect(numbers.length === records && numbers.every((number, index) => number === index), "the translated records are not the upstream's");
}

async function proveEmbeddings(server: Server, encoding: "float" | "base64"): Promise<void> {
  const { data = [] } = JSON.parse(await post(server, embeddingsLoad(encoding))) as EmbeddingsAnswer;
  const expected = vectors();
  expect(data.length === expected.length, "the number of vectors is not the upstream's");
  for (const [at, vector] of expected.entries()) {
    const embedding = data[at]?.embedding ?? [];
    const bytes = typeof embedding === "string" ? Buffer.from(embedding, "base64") : Buffer.from(Float32Array.from(embedding).buffer);
    expect(data[at]?.index === at && bytes.equals(Buffer.from(vector.buffer)), `vector ${at} (${encoding}) is not the upstream's`);
  }
}

/** Every gRPC load once; the program that makes it looks at the whole answer. */
async function proveGrpc(server: Server, ground: LoadGround, loads: readonly Load[]): Promise<void> {
  for (const load of loads.filter(({ grpc }) => grpc)) {
    const { wrong, requests, firstWrong } = await load.run(ground, server, 0.2);
    expect(requests > 0 && wrong === 0, `${load.title}: ${firstWrong || "no answer"}`);
  }
}

/** What is wrong with a server's answers, by group of loads; groups that are right are absent. */
export async function proveAnswers(server: Server, ground: LoadGround, loads: readonly Load[]): Promise<ReadonlyMap<Group, string>> {
  const faults = new Map<Group, string>();
  const prove = async (group: Group, run: () => Promise<void>) => {
    if (!loads.some((load) => load.group === group && load.servers.includes(server.name))) return;
    try {
      await run();
    } catch (error) {
      faults.set(group, error instanceof Error ? error.message : String(error));
    }
  };
  await prove("chat", () => proveChat(server));
  await prove("rate", () => proveChat(server));
  await prove("sse", () => proveStream(server));
  await prove("cross", () => proveMessages(server));
  await prove("memory", () => proveStream(server));
  await prove("embeddings", async () => {
    await proveEmbeddings(server, "float");
    await proveEmbeddings(server, "base64");
  });
  await prove("grpc", () => proveGrpc(server, ground, loads));
  return faults;
}
