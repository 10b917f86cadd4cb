/** Calls at an even pace, of several kinds and by several keys, each followed to its end. */
import { setTimeout as pause } from "node:timers/promises";

export interface LoadCall {
  readonly number: number;
  readonly kind: string;
  /** Name of the key. */
  readonly by: string;
  /** Milliseconds of performance.now(). */
  readonly startedAt: number;
  readonly endedAt: number;
  /** 0: it was cut off, or had no end. */
  readonly status: number;
  /** Of a refusal, in the gateway's own word. */
  readonly reason: string;
  /** Whether the answer is one that a client of its surface can read: complete, or a whole error with what it must say. */
  readonly wellFormed: boolean;
  /** The end, for a failing test's message. */
  readonly tail: string;
}

export interface SteadyLoad {
  readonly calls: readonly LoadCall[];
  /** Begins no more calls; resolves when all are over. */
  stop(): Promise<readonly LoadCall[]>;
}

/** Longest that any call may take. */
const patienceMs = 15_000;
const perSecond = 40;

interface Kind {
  readonly path: string;
  readonly body: (script: string) => object;
  /** What the whole answer ends with, or holds. */
  readonly complete: RegExp;
}

const said = (content: string) => [{ role: "user", content }];

/** The script's text is the user's. `chat` and `claude` are providers of the gateway under test. */
const kinds: Readonly<Record<string, Kind>> = {
  "chat, streamed": {
    path: "/v1/chat/completions",
    body: (script) => ({ model: "chat/sim-script", stream: true, messages: said(script) }),
    complete: /data: \[DONE\]\s*$/,
  },
  chat: {
    path: "/v1/chat/completions",
    body: (script) => ({ model: "chat/sim-script", messages: said(script) }),
    complete: /"finish_reason":\s*"stop"/,
  },
  "messages, streamed": {
    path: "/v1/messages",
    body: (script) => ({ model: "claude/sim-script", stream: true, max_tokens: 200, messages: said(script) }),
    complete: /"type":\s*"message_stop"/,
  },
  embeddings: {
    path: "/v1/embeddings",
    body: (script) => ({ model: "chat/sim-embed", input: script }),
    complete: /"embedding":/,
  },
  Complete: {
    path: "/dragoman.v1.InferenceService/Complete",
    body: (script) => ({ generate: { model: "chat/sim-script", messages: [{ role: "ROLE_USER", parts: [{ text: script }] }] } }),
    complete: /"usageId":/,
  },
};

/** What each call is known by, at the gateway as end user and in the simulator's books as the text that was sent. */
export function userOfCall(number: number): string {
  return `outage-${String(number).padStart(5, "0")}`;
}

export function startLoad(url: string, keys: Readonly<Record<string, string>>): SteadyLoad {
  const names = Object.keys(kinds);
  const callers = Object.keys(keys);
  const calls: LoadCall[] = [];
  const running = new Set<Promise<void>>();
  let number = 0;
  const timer = setInterval(() => {
    const [kind = "", by = ""] = [names[number % names.length], callers[number % callers.length]];
    const over: Promise<void> = follow(url, number++, kind, by, keys[by] ?? "")
      .then((call) => void calls.push(call))
      .finally(() => running.delete(over));
    running.add(over);
  }, 1_000 / perSecond);
  return {
    calls,
    async stop() {
      clearInterval(timer);
      while (running.size > 0) await Promise.race([Promise.all(running), pause(100)]);
      return calls;
    },
  };
}

async function follow(url: string, number: number, name: string, by: string, key: string): Promise<LoadCall> {
  const { path, body, complete } = kinds[name] as Kind;
  const user = userOfCall(number);
  const script = JSON.stringify({
    sim_script: { id: user, steps: [{ text: "words before " }, { delay_ms: 40 }, { text: "words after" }] },
  });
  const startedAt = performance.now();
  const seen = { number, kind: name, by, startedAt };
  try {
    const response = await fetch(url + path, {
      method: "POST",
      headers: { "content-type": "application/json", authorization: `Bearer ${key}`, "x-dragoman-user-id": user },
      body: JSON.stringify(body(script)),
      signal: AbortSignal.timeout(patienceMs),
    });
    const text = await response.text();
    const { status, headers } = response;
    const reason = headers.get("x-dragoman-error-reason") ?? reasonIn(text);
    const wellFormed = status === 200 ? complete.test(text) : Number(headers.get("retry-after")) >= 1 && reason !== "";
    return { ...seen, endedAt: performance.now(), status, reason: status === 200 ? "" : reason, wellFormed, tail: text.slice(-300) };
  } catch (error) {
    return { ...seen, endedAt: performance.now(), status: 0, reason: "", wellFormed: false, tail: String(error) };
  }
}

/** Of a Connect error: the reason of its google.rpc.ErrorInfo, which stands there in base64 and, for people, beside it. */
function reasonIn(text: string): string {
  return /"reason":\s*"([A-Z_]+)"/.exec(text)?.[1]?.toLowerCase() ?? "";
}
