/** The same service over every protocol, with the clients people use. */
import { createClient, type Transport } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport, createGrpcWebTransport } from "@connectrpc/connect-node";
import { afterEach, describe, expect, test } from "vitest";
import { InferenceService } from "../../gen/dragoman/v1/inference_service_pb.ts";
import { ask, type FakeGateway, startGateway, stopAll } from "./fake-gateway.ts";

afterEach(stopAll);

const transports: Record<string, (url: string) => Transport> = {
  "connect, HTTP/1.1, binary": (baseUrl) => createConnectTransport({ baseUrl, httpVersion: "1.1" }),
  "connect, HTTP/1.1, JSON": (baseUrl) => createConnectTransport({ baseUrl, httpVersion: "1.1", useBinaryFormat: false }),
  "connect, HTTP/2": (baseUrl) => createConnectTransport({ baseUrl, httpVersion: "2" }),
  grpc: (baseUrl) => createGrpcTransport({ baseUrl }),
  "grpc-web, HTTP/1.1": (baseUrl) => createGrpcWebTransport({ baseUrl, httpVersion: "1.1" }),
  "grpc-web, HTTP/2": (baseUrl) => createGrpcWebTransport({ baseUrl, httpVersion: "2" }),
};

describe.each(Object.entries(transports))("%s", (_name, transport) => {
  const client = ({ url }: FakeGateway) => createClient(InferenceService, transport(url));

  test("streams", async () => {
    const gateway = await startGateway();
    let text = "";
    let headers = new Headers();
    let trailers = new Headers();
    const sequences: number[] = [];
    const options = {
      headers: { "x-request-id": "mine-1", "x-dragoman-user-id": "u7" },
      onHeader: (sent: Headers) => void (headers = sent),
      onTrailer: (sent: Headers) => void (trailers = sent),
    };
    for await (const { event, sequence } of client(gateway).generate(ask("you said: caf\u00e9 & co"), options)) {
      sequences.push(sequence);
      if (event.case === "blockDelta" && event.value.delta.case === "text") text += event.value.delta.value;
    }
    expect(text).toBe("you said: caf\u00e9 & co");
    expect(sequences).toEqual([...sequences].sort((a, b) => a - b));
    expect(headers.get("x-request-id")).toBe("mine-1");
    expect(headers.get("x-dragoman-request-id")).toBe(gateway.calls[0]?.requestId);
    expect(trailers.get("x-dragoman-translation")).toBe('dropped;path="sampling.top_k"');
    expect(gateway.calls[0]?.attribution?.endUserId).toBe("u7");
    expect(gateway.calls[0]).toMatchObject({ surface: "rpc", dialect: "dragoman", operation: "generate" });
  });

  test("answers at once", async () => {
    const gateway = await startGateway();
    const { complete, embed, countTokens, listModels } = client(gateway);
    let headers = new Headers();
    const onHeader = (sent: Headers) => void (headers = sent);
    const completed = await complete({ generate: ask("hello there") }, { headers: { "x-request-id": "mine-2" }, onHeader });
    expect(completed.candidates[0]?.message?.parts[0]?.part).toEqual({ case: "text", value: "hello there" });
    expect(headers.get("x-request-id")).toBe("mine-2");
    expect(headers.get("x-dragoman-translation")).toBe('dropped;path="sampling.top_k"');
    expect((await embed({ model: "m", inputs: [{ input: { case: "text", value: "x" } }] })).embeddings[0]?.values).toEqual([1, 0]);
    expect((await countTokens({ generate: ask("x") })).inputTokens).toBe(7);
    expect((await listModels({})).models.map(({ id }) => id)).toEqual(["echo"]);
    expect(gateway.log.filter(({ level }) => level === "error")).toEqual([]);
  });
});

test("lists models by GET", async () => {
  const { url } = await startGateway();
  const query = new URLSearchParams({ connect: "v1", encoding: "json", message: "{}" });
  const response = await fetch(`${url}/dragoman.v1.InferenceService/ListModels?${query}`);
  expect(response.status).toBe(200);
  expect(await response.json()).toEqual({ models: [{ id: "echo" }] });
});

test("an unknown field of a newer contract is no error in JSON", async () => {
  const { url } = await startGateway();
  const headers = { "content-type": "application/json" };
  const response = await fetch(`${url}/dragoman.v1.InferenceService/ListModels`, { method: "POST", headers, body: '{"later":{"a":[1]}}' });
  expect(response.status).toBe(200);
});
