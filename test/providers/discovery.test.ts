import { describe, expect, test } from "vitest";
import { discoverLocalServers, wellKnownServers } from "../../src/providers/discovery.ts";
import { json, startServer } from "./local-server.ts";

describe("discoverLocalServers", () => {
  test("gives the servers that answer with a list, and leaves the others", async () => {
    const good = await startServer((_request, response) =>
      json(response, { object: "list", data: [{ id: "llama3.2:3b" }, { id: "x".repeat(257) }] }),
    );
    const html = await startServer((_request, response) => {
      response.setHeader("content-type", "text/html");
      response.end("<html>");
    });
    const silent = await startServer(() => {});
    const endless = await startServer((_request, response) => {
      response.setHeader("content-type", "application/json");
      const timer = setInterval(() => response.write(" ".repeat(1 << 20)), 1);
      response.on("close", () => clearInterval(timer));
    });
    const gone = await startServer(() => {});
    await new Promise((resolve) => gone.server.close(resolve));
    const servers = [good, html, silent, endless, gone].map(({ origin }, index) => ({ type: `t${index}`, baseUrl: `${origin}/v1` }));
    const found = await discoverLocalServers({ env: {}, ownPorts: [], servers, timeoutMs: 300 });
    expect(found).toEqual([{ name: "t0", type: "t0", baseUrl: `${good.origin}/v1`, models: ["llama3.2:3b"] }]);
    expect(good.seen[0]?.url).toBe("/v1/models");
    expect(good.seen[0]?.headers.authorization).toBeUndefined();
  });

  test("never asks the gateway's own listeners", async () => {
    const own = await startServer((_request, response) => json(response, { data: [{ id: "m" }] }));
    const servers = [{ type: "llamacpp", baseUrl: `${own.origin}/v1` }];
    expect(await discoverLocalServers({ env: {}, ownPorts: [own.port], servers })).toEqual([]);
    expect(own.sockets).toHaveLength(0);
  });
});

describe("wellKnownServers", () => {
  test.each([
    [undefined, "http://127.0.0.1:11434/v1"],
    ["127.0.0.1", "http://127.0.0.1:11434/v1"],
    ["0.0.0.0", "http://127.0.0.1:11434/v1"],
    ["0.0.0.0:9999", "http://127.0.0.1:9999/v1"],
    [":9999", "http://127.0.0.1:9999/v1"],
    ["http://localhost:9999/", "http://localhost:9999/v1"],
    ["[::1]:9999", "http://[::1]:9999/v1"],
    ["10.0.0.5:11434", "http://127.0.0.1:11434/v1"],
    ["not a host", "http://127.0.0.1:11434/v1"],
  ])("reads OLLAMA_HOST %s", (host, baseUrl) => {
    expect(wellKnownServers({ OLLAMA_HOST: host })[0]).toEqual({ type: "ollama", baseUrl });
  });

  test("asks a port once", () => {
    const servers = wellKnownServers({ OLLAMA_HOST: "127.0.0.1:8000" });
    expect(servers.map(({ type }) => type)).toEqual(["ollama", "llamacpp", "lmstudio"]);
  });
});
