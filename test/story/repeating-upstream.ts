/** A provider that repeats everything it was sent, keys included, in every kind of failure: what bad proxies do. */
import http from "node:http";
import type { AddressInfo } from "node:net";

export interface RepeatingUpstream {
  readonly url: string;
  /** Requests that it got. */
  readonly requests: number;
  close(): Promise<void>;
}

/** The model's name says how it fails: `status-400`, `stream`, `html`, `text`, `cut`. */
export async function startRepeatingUpstream(): Promise<RepeatingUpstream> {
  let requests = 0;
  const server = http.createServer((request, response) => {
    requests++;
    let body = "";
    request.setEncoding("utf8").on("data", (text: string) => (body += text));
    request.on("end", () => {
      const { model = "status-404" } = readModel(body, request.url ?? "");
      const said = `${request.rawHeaders.join(" ")} ${body}`;
      answer(response, model, said);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    get requests() {
      return requests;
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function answer(response: http.ServerResponse, model: string, said: string): void {
  const error = { error: { message: `refused: ${said}`, type: `of ${said}`.slice(0, 200), code: "wrong", param: said.slice(0, 100) } };
  const status = Number(/status-(\d+)/.exec(model)?.[1] ?? 0);
  if (status > 0) {
    response.writeHead(status, {
      "content-type": "application/json",
      "x-request-id": "upstream-1",
      "www-authenticate": said.slice(0, 500).replaceAll(/[^\x20-\x7e]/g, ""),
    });
    response.end(JSON.stringify(error));
  } else if (model === "html") {
    response.writeHead(502, { "content-type": "text/html" }).end(`<html><body>${said}</body></html>`);
  } else if (model === "text") {
    response.writeHead(503, { "content-type": "text/plain" }).end(said);
  } else if (model === "junk") {
    response.writeHead(200, { "content-type": "application/json" }).end(`{"said": ${JSON.stringify(said)}, broken`);
  } else {
    response.writeHead(200, { "content-type": "text/event-stream" });
    const chunk = { id: "c", object: "chat.completion.chunk", created: 1, model, choices: [{ index: 0, delta: { content: "so far" } }] };
    response.write(`data: ${JSON.stringify(chunk)}\n\n`);
    if (model === "cut") response.destroy();
    else if (model === "junk-event") response.end(`data: {"said": ${JSON.stringify(said)}\n\n`);
    else response.end(`data: ${JSON.stringify(error)}\n\n`);
  }
}

function readModel(body: string, url: string): { model?: string } {
  try {
    const model = (JSON.parse(body) as { model?: unknown }).model;
    if (typeof model === "string") return { model };
  } catch {
    // Gemini names it in the path.
  }
  const [, model] = /models\/([\w-]+)/.exec(url) ?? [];
  return model === undefined ? {} : { model };
}
