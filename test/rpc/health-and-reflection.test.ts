import { fromBinary } from "@bufbuild/protobuf";
import { type FileDescriptorProto, FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport } from "@connectrpc/connect-node";
import { afterEach, describe, expect, test } from "vitest";
import { InferenceService } from "../../gen/dragoman/v1/inference_service_pb.ts";
import { Health } from "../../gen/grpc/health/v1/health_pb.ts";
import { ServerReflection } from "../../gen/grpc/reflection/v1/reflection_pb.ts";
import { ServerReflection as ServerReflectionAlpha } from "../../gen/grpc/reflection/v1alpha/reflection_pb.ts";
import { ServingStatus } from "../../src/rpc/health-table.ts";
import { startGateway, stopAll } from "./fake-gateway.ts";

afterEach(stopAll);

describe("health", () => {
  const connect = (baseUrl: string) => createClient(Health, createGrpcTransport({ baseUrl }));

  test("needs no key and knows the services, on both ports", async () => {
    const { url, adminUrl } = await startGateway({ keys: ["k"] });
    for (const baseUrl of [url, adminUrl]) {
      const health = connect(baseUrl);
      expect((await health.check({})).status).toBe(ServingStatus.SERVING);
      expect((await health.check({ service: InferenceService.typeName })).status).toBe(ServingStatus.SERVING);
      expect(Object.keys((await health.list({})).statuses)).toEqual(["", InferenceService.typeName]);
      const error = ConnectError.from(await health.check({ service: "nobody" }).catch((e: unknown) => e));
      expect(error.code).toBe(Code.NotFound);
    }
  });

  test("a watch tells every change, and ends when the server drains", async () => {
    const gateway = await startGateway();
    const seen: ServingStatus[] = [];
    const watching = (async () => {
      for await (const { status } of connect(gateway.url).watch({ service: "later" })) {
        seen.push(status);
        if (seen.length === 1) gateway.health.set("later", ServingStatus.SERVING);
        if (seen.length === 2) gateway.health.drain();
      }
    })();
    await watching;
    expect(seen).toEqual([ServingStatus.SERVICE_UNKNOWN, ServingStatus.SERVING, ServingStatus.NOT_SERVING]);
  });

  test("answers Connect over HTTP/1.1 too", async () => {
    const { url } = await startGateway();
    const health = createClient(Health, createConnectTransport({ baseUrl: url, httpVersion: "1.1" }));
    expect((await health.check({})).status).toBe(ServingStatus.SERVING);
  });
});

describe.each([
  ["v1", ServerReflection],
  ["v1alpha", ServerReflectionAlpha],
] as const)("reflection %s", (_version, service) => {
  type Question = { case: "fileContainingSymbol" | "fileByFilename" | "allExtensionNumbersOfType" | "listServices"; value: string };
  async function ask(baseUrl: string, ...questions: Question[]) {
    async function* requests() {
      for (const messageRequest of questions) yield { messageRequest };
    }
    const client = createClient(service as typeof ServerReflection, createGrpcTransport({ baseUrl }));
    const answers = [];
    for await (const { messageResponse } of client.serverReflectionInfo(requests())) answers.push(messageResponse);
    return answers;
  }

  test("answers every kind of question in one stream", async () => {
    const { url } = await startGateway();
    const answers = await ask(
      url,
      { case: "listServices", value: "" },
      { case: "fileContainingSymbol", value: "dragoman.v1.InferenceService.Generate" },
      { case: "fileByFilename", value: "dragoman/v1/usage.proto" },
      { case: "fileContainingSymbol", value: "dragoman.v1.Nothing" },
    );
    expect(answers.map((answer) => answer.case)).toEqual([
      "listServicesResponse",
      "fileDescriptorResponse",
      "fileDescriptorResponse",
      "errorResponse",
    ]);
    const files = answers[1]?.case === "fileDescriptorResponse" ? answers[1].value.fileDescriptorProto : [];
    const names = files.map((bytes): FileDescriptorProto => fromBinary(FileDescriptorProtoSchema, bytes)).map(({ name }) => name);
    expect(names).toContain("dragoman/v1/inference_service.proto");
    expect(names).toContain("buf/validate/validate.proto");
    expect(new Set(names).size).toBe(names.length);
  });

  test("can be switched off", async () => {
    const { url } = await startGateway({ reflection: false });
    const error = ConnectError.from(await ask(url, { case: "listServices", value: "" }).catch((e: unknown) => e));
    expect(error.code).toBe(Code.Unimplemented);
  });
});
