/**
 * What the upstream of the bench answers, written once as files, so that the C upstream and its Node stand-in give the
 * same bytes and the loads know what to expect. Shapes: OpenAI's chat, chat stream and embeddings
 * (https://platform.openai.com/docs/api-reference).
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

export const vectorCount = 16;
export const dimensions = 1536;
/** Of the buffered answer, about 1 KiB with its envelope. */
export const chatText =
  "A dragoman was the interpreter between languages that did not know each other: in the ports of the Levant, at the " +
  "gates of embassies, in the tents of caravans. He carried words both ways and was paid for carrying them whole. This " +
  "answer is as long as a short answer usually is, so that a gateway has something to carry: a few sentences of prose, " +
  "some numbers (3.14159, 2.71828), an accent or two (café, naïve), and a last line that says where it ends. End of answer.";
/** The head of every record's marker is `~NNNN`, four digits; then `.` and twelve digits of microseconds. */
export const markerPattern = /~(\d{4})\.(\d{12}) /g;

const created = 1_760_000_000;
const usage = {
  prompt_tokens: 212,
  completion_tokens: 118,
  total_tokens: 330,
  prompt_tokens_details: { cached_tokens: 0, audio_tokens: 0 },
  completion_tokens_details: { reasoning_tokens: 0, audio_tokens: 0, accepted_prediction_tokens: 0, rejected_prediction_tokens: 0 },
};

/** The model whose stream has `count` records, `pace` a second; pace 0 is a burst. */
export function streamModel(count: number, pace: number): string {
  return `bench-sse-${count}-${pace}`;
}

/** 16 vectors of 1536 single-precision numbers, the same in every run. */
export function vectors(): Float32Array[] {
  let state = 0x2545f491;
  const next = () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 0xffff_ffff - 0.5;
  };
  return Array.from({ length: vectorCount }, () => Float32Array.from({ length: dimensions }, () => next() * 0.008));
}

/** The shortest decimal that reads back as the same single-precision number. */
function shortest(value: number): string {
  for (let digits = 6; digits < 10; digits++) {
    const text = Number(value.toPrecision(digits));
    if (Math.fround(text) === value) return String(text);
  }
  return String(value);
}

function embeddingsAnswer(texts: readonly string[]): string {
  const data = texts.map((embedding, index) => `{"object":"embedding","index":${index},"embedding":${embedding}}`).join(",");
  return `{"object":"list","data":[${data}],"model":"bench","usage":{"prompt_tokens":128,"total_tokens":128}}`;
}

function streamRecord(choice: object | undefined, extra: object = {}): string {
  const head = {
    id: "chatcmpl-bench0000000000000000000",
    object: "chat.completion.chunk",
    created,
    model: "bench",
    service_tier: "default",
  };
  return `data: ${JSON.stringify({ ...head, system_fingerprint: "fp_bench", choices: choice ? [choice] : [], ...extra })}\n\n`;
}

function choice(delta: object, finishReason: string | null): object {
  return { index: 0, delta, logprobs: null, finish_reason: finishReason };
}

/** Writes the answers into a directory of their own below `directory` and gives its path. */
export function writeAnswers(directory: string): string {
  const answers = join(directory, "answers");
  mkdirSync(answers, { recursive: true });
  const chat = {
    id: "chatcmpl-bench0000000000000000000",
    object: "chat.completion",
    created,
    model: "bench",
    choices: [
      {
        index: 0,
        message: { role: "assistant", content: chatText, refusal: null, annotations: [] },
        logprobs: null,
        finish_reason: "stop",
      },
    ],
    usage,
    service_tier: "default",
    system_fingerprint: "fp_bench",
  };
  const write = (name: string, text: string) => writeFileSync(join(answers, name), text);
  write("chat.json", JSON.stringify(chat));
  write("chat.txt", chatText);
  write("float.json", embeddingsAnswer(vectors().map((vector) => `[${Array.from(vector, shortest).join(",")}]`)));
  write("base64.json", embeddingsAnswer(vectors().map((vector) => `"${Buffer.from(vector.buffer).toString("base64")}"`)));
  write("first.txt", streamRecord(choice({ role: "assistant", content: "", refusal: null }, null), { usage: null }));
  write("record.txt", streamRecord(choice({ content: "~0000.000000000000 " }, null), { usage: null }));
  write("last.txt", `${streamRecord(choice({}, "stop"), { usage: null })}${streamRecord(undefined, { usage })}data: [DONE]\n\n`);
  // How Anthropic's format ends a stream, for the load whose answer is translated.
  write("end-messages.txt", 'event: message_stop\ndata: {"type":"message_stop"}\n\n');
  return answers;
}
