/** Foreign clients: @grpc/grpc-js and buf curl, which know the service only by its contract or by reflection. */
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { anyUnpack } from "@bufbuild/protobuf/wkt";
import { Client, credentials, Metadata, type ServiceError, status } from "@grpc/grpc-js";
import { afterEach, describe, expect, test } from "vitest";
import { FailureDetailSchema } from "../../gen/dragoman/v1/errors_pb.ts";
import { GenerateRequestSchema, type GenerateResponse, GenerateResponseSchema } from "../../gen/dragoman/v1/generate_pb.ts";
import { BadRequestSchema } from "../../gen/google/rpc/error_details_pb.ts";
import { StatusSchema } from "../../gen/google/rpc/status_pb.ts";
import { stopReason } from "../../src/core/call.ts";
import { deltaEvent, startedEvent } from "../../src/core/event.ts";
import { ask, askJson, type FakeGateway, startGateway, stopAll, until } from "./fake-gateway.ts";

afterEach(stopAll);

describe("@grpc/grpc-js", () => {
  const generate = (gateway: FakeGateway, request: ReturnType<typeof ask>, metadata = new Metadata(), options = {}) => {
    const client = new Client(`127.0.0.1:${gateway.port}`, credentials.createInsecure());
    const stream = client.makeServerStreamRequest(
      "/dragoman.v1.InferenceService/Generate",
      (message: ReturnType<typeof ask>) => Buffer.from(toBinary(GenerateRequestSchema, create(GenerateRequestSchema, message))),
      (bytes: Buffer) => fromBinary(GenerateResponseSchema, bytes),
      request,
      metadata,
      options,
    );
    stream.once("error", () => client.close());
    stream.once("end", () => client.close());
    return stream;
  };
  const collect = async (stream: AsyncIterable<GenerateResponse>) => {
    let text = "";
    for await (const { event } of stream)
      if (event.case === "blockDelta" && event.value.delta.case === "text") text += event.value.delta.value;
    return text;
  };

  test("streams, with metadata both ways", async () => {
    const gateway = await startGateway({ keys: ["k"] });
    const metadata = new Metadata();
    metadata.set("authorization", "Bearer k");
    metadata.set("x-request-id", "from-grpc");
    const stream = generate(gateway, ask("hello gRPC"), metadata);
    let headers = new Metadata();
    stream.on("metadata", (sent: Metadata) => {
      headers = sent;
    });
    expect(await collect(stream)).toBe("hello gRPC");
    expect(headers.get("x-request-id")).toEqual(["from-grpc"]);
  });

  test("reads code, message and details of a refusal", async () => {
    const gateway = await startGateway();
    const error = await collect(generate(gateway, { ...ask("x"), model: "" })).then(
      () => Promise.reject(new Error("it succeeded")),
      (thrown: ServiceError) => thrown,
    );
    expect(error.code).toBe(status.INVALID_ARGUMENT);
    expect(error.details).toMatch(/^model: /);
    const [bytes] = error.metadata.get("grpc-status-details-bin");
    const details = fromBinary(StatusSchema, bytes as Buffer).details;
    const find = <Desc extends Parameters<typeof anyUnpack>[1]>(desc: Desc) =>
      details.map((any) => anyUnpack(any, desc as never)).find(Boolean);
    expect(find(BadRequestSchema)).toMatchObject({ fieldViolations: [{ field: "model" }] });
    expect(find(FailureDetailSchema)).toMatchObject({ committed: false });
  });

  test("a cancelled call stops, and a deadline is told", async () => {
    const gateway = await startGateway({
      operations: {
        async *generate(_request, { signal }) {
          yield { events: [startedEvent({}), deltaEvent(0, 0, { case: "text", value: "one" })] };
          await new Promise((_resolve, reject) => signal.addEventListener("abort", () => reject(stopReason(signal))));
        },
      },
    });
    const stream = generate(gateway, ask("x"));
    stream.once("data", () => stream.cancel());
    await expect(collect(stream)).rejects.toMatchObject({ code: status.CANCELLED });
    await until(() => gateway.calls[0]?.signal.aborted === true, "the call's signal");
    const late = generate(gateway, ask("x"), new Metadata(), { deadline: Date.now() + 150 });
    await expect(collect(late)).rejects.toMatchObject({ code: status.DEADLINE_EXCEEDED });
    await until(() => gateway.calls[1]?.signal.aborted === true, "the second call's signal");
  });
});

describe("buf curl, with nothing but reflection", () => {
  const run = promisify(execFile);
  const buf = (...args: string[]) => run("node_modules/.bin/buf", ["curl", ...args], { timeout: 20_000 }).then(({ stdout }) => stdout);

  test("lists services and methods over gRPC", async () => {
    const { url, adminUrl } = await startGateway();
    expect((await buf("--http2-prior-knowledge", "--protocol", "grpc", "--list-services", url)).trim().split("\n").sort()).toEqual([
      "dragoman.v1.InferenceService",
      "grpc.health.v1.Health",
      "grpc.reflection.v1.ServerReflection",
      "grpc.reflection.v1alpha.ServerReflection",
    ]);
    expect(await buf("--http2-prior-knowledge", "--protocol", "grpc", "--list-methods", url)).toContain(
      "dragoman.v1.InferenceService/Generate",
    );
    expect(await buf("--http2-prior-knowledge", "--protocol", "grpc", "--list-services", adminUrl)).not.toContain("InferenceService");
  }, 30_000);

  test.each(["grpc", "grpcweb", "connect"])(
    "calls over %s",
    async (protocol) => {
      const { url } = await startGateway();
      const call = (procedure: string, data: string) =>
        buf("--http2-prior-knowledge", "--protocol", protocol, "-d", data, `${url}/${procedure}`);
      expect(await call("dragoman.v1.InferenceService/Generate", askJson("hello buf"))).toMatch(/"text":\s*"hello "[\s\S]*"text":\s*"buf"/);
      expect(await call("dragoman.v1.InferenceService/ListModels", "{}")).toContain('"echo"');
      expect(await call("grpc.health.v1.Health/Check", "{}")).toContain("SERVING");
    },
    30_000,
  );
});
