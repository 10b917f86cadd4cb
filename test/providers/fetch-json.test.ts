import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { describe, expect, onTestFinished, test } from "vitest";
import { createFetchJson } from "../../src/providers/fetch-json.ts";

async function serve(answer: RequestListener): Promise<URL> {
  const server = createServer(answer);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/keys?a=b`);
}

function fetchFrom(url: URL, timeoutMs = 10_000): Promise<unknown> {
  return createFetchJson({ configuredOrigins: new Set([url.origin]), userAgent: "test", timeoutMs })(url);
}

describe("a document of a configured host", () => {
  test("is read, by its path and query", async () => {
    const asked: (string | undefined)[] = [];
    const url = await serve((request, response) => {
      asked.push(request.url);
      response.end('{"keys":[]}');
    });
    expect(await fetchFrom(url)).toEqual({ keys: [] });
    expect(asked).toEqual(["/keys?a=b"]);
  });

  test.each([301, 302, 303, 307, 308])("is not looked for elsewhere: %d", async (status) => {
    let followed = 0;
    const elsewhere = await serve((_, response) => {
      followed++;
      response.end('{"keys":[]}');
    });
    const url = await serve((_, response) => void response.writeHead(status, { location: elsewhere.href }).end());
    await expect(fetchFrom(url)).rejects.toThrow(String(status));
    expect(followed).toBe(0);
  });

  test.each([
    ["no JSON", (response: Parameters<RequestListener>[1]) => response.end("<html>")],
    ["an error", (response: Parameters<RequestListener>[1]) => response.writeHead(500).end('{"keys":[]}')],
    ["too much", (response: Parameters<RequestListener>[1]) => response.end(`"${"x".repeat(1_100_000)}"`)],
    ["cut short", (response: Parameters<RequestListener>[1]) => void response.writeHead(200, { "content-length": "100" }).end('{"a":1}')],
  ])("is refused: %s", async (_, answer) => {
    const url = await serve((_request, response) => void answer(response));
    await expect(fetchFrom(url, 2_000)).rejects.toThrow();
  });

  test.each([
    ["says nothing", () => undefined],
    [
      "sends a byte now and then",
      (response: Parameters<RequestListener>[1]) => {
        const drip = setInterval(() => response.write(" "), 20);
        response.once("close", () => clearInterval(drip));
      },
    ],
  ])("is given up where the host %s", async (_, answer) => {
    const url = await serve((_request, response) => void answer(response));
    await expect(fetchFrom(url, 300)).rejects.toThrow();
  });
});

test("a private host that nobody configured is not called", async () => {
  let called = 0;
  const url = await serve((_, response) => {
    called++;
    response.end("{}");
  });
  await expect(createFetchJson({ configuredOrigins: new Set(), userAgent: "test" })(url)).rejects.toThrow();
  expect(called).toBe(0);
});
