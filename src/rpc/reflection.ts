/**
 * gRPC server reflection v1 and v1alpha (https://github.com/grpc/grpc/blob/master/doc/server-reflection.md) from
 * protobuf-es descriptors. It is a bidirectional stream, so it needs HTTP/2.
 */
import {
  create,
  type DescEnum,
  type DescFile,
  type DescMessage,
  type DescService,
  fromBinary,
  type MessageInitShape,
  toBinary,
} from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";
import { Code, type ConnectRouter } from "@connectrpc/connect";
import {
  ServerReflection,
  type ServerReflectionRequest,
  ServerReflectionRequestSchema,
  type ServerReflectionResponse,
  ServerReflectionResponseSchema,
} from "../../gen/grpc/reflection/v1/reflection_pb.ts";
import {
  ServerReflectionRequestSchema as AlphaRequestSchema,
  ServerReflectionResponseSchema as AlphaResponseSchema,
  ServerReflection as ServerReflectionAlpha,
} from "../../gen/grpc/reflection/v1alpha/reflection_pb.ts";

/** Registers both versions; they list `services` and themselves. */
export function serveReflection(router: ConnectRouter, services: readonly DescService[]): void {
  const answer = createAnswer([...services, ServerReflection, ServerReflectionAlpha]);

  router.service(ServerReflection, {
    async *serverReflectionInfo(requests) {
      for await (const request of requests) yield answer(request);
    },
  });

  // v1alpha (older grpcurl, Postman) has the same messages under another package name: same bytes.
  router.service(ServerReflectionAlpha, {
    async *serverReflectionInfo(requests) {
      for await (const request of requests) {
        const reply = answer(fromBinary(ServerReflectionRequestSchema, toBinary(AlphaRequestSchema, request)));
        yield fromBinary(AlphaResponseSchema, toBinary(ServerReflectionResponseSchema, reply));
      }
    },
  });
}

function createAnswer(services: readonly DescService[]): (request: ServerReflectionRequest) => ServerReflectionResponse {
  const files = closure(services.map((service) => service.file));
  const byName = new Map(files.map((file) => [file.proto.name, file]));
  const bySymbol = new Map<string, DescFile>();
  const extensions = new Map<string, Map<number, DescFile>>(); // extended message -> field number -> file

  for (const file of files) {
    for (const message of file.messages) addMessage(message, file);
    for (const entry of file.enums) addEnum(entry, file);
    for (const service of file.services) {
      bySymbol.set(service.typeName, file);
      for (const method of service.methods) bySymbol.set(`${service.typeName}.${method.name}`, file);
    }
    for (const extension of file.extensions) {
      bySymbol.set(extension.typeName, file);
      const numbers = extensions.get(extension.extendee.typeName) ?? new Map<number, DescFile>();
      extensions.set(extension.extendee.typeName, numbers.set(extension.number, file));
    }
  }

  return (request) => {
    const question = request.messageRequest;
    switch (question.case) {
      case "listServices":
        return reply(request, {
          case: "listServicesResponse",
          value: { service: services.map(({ typeName: name }) => ({ name })) },
        });
      case "fileByFilename":
        return fileReply(request, byName.get(question.value));
      case "fileContainingSymbol":
        return fileReply(request, bySymbol.get(question.value));
      case "fileContainingExtension":
        return fileReply(request, extensions.get(question.value.containingType)?.get(question.value.extensionNumber));
      case "allExtensionNumbersOfType": {
        if (!bySymbol.has(question.value)) return notFound(request);
        const extensionNumber = [...(extensions.get(question.value)?.keys() ?? [])];
        return reply(request, {
          case: "allExtensionNumbersResponse",
          value: { baseTypeName: question.value, extensionNumber },
        });
      }
      default:
        return notFound(request);
    }
  };

  function addMessage(message: DescMessage, file: DescFile): void {
    bySymbol.set(message.typeName, file);
    for (const nested of message.nestedMessages) addMessage(nested, file);
    for (const entry of message.nestedEnums) addEnum(entry, file);
  }

  function addEnum(entry: DescEnum, file: DescFile): void {
    bySymbol.set(entry.typeName, file);
  }
}

/** The files and everything they import, each once, in a stable order. */
function closure(roots: readonly DescFile[]): DescFile[] {
  const seen = new Map<string, DescFile>();
  const visit = (file: DescFile): void => {
    if (seen.has(file.name)) return;
    seen.set(file.name, file);
    file.dependencies.forEach(visit);
  };
  roots.forEach(visit);
  return [...seen.values()];
}

type ReplyInit = NonNullable<MessageInitShape<typeof ServerReflectionResponseSchema>["messageResponse"]>;

function reply(request: ServerReflectionRequest, messageResponse: ReplyInit): ServerReflectionResponse {
  return create(ServerReflectionResponseSchema, {
    validHost: request.host,
    originalRequest: request,
    messageResponse,
  });
}

/** Sends the imports too: every client accepts that, and it saves it one round trip per import. */
function fileReply(request: ServerReflectionRequest, file: DescFile | undefined): ServerReflectionResponse {
  if (file === undefined) return notFound(request);
  const fileDescriptorProto = closure([file]).map(({ proto }) => toBinary(FileDescriptorProtoSchema, proto));
  return reply(request, { case: "fileDescriptorResponse", value: { fileDescriptorProto } });
}

/** An answer, not the end of the stream: the client may go on asking. */
function notFound(request: ServerReflectionRequest): ServerReflectionResponse {
  return reply(request, { case: "errorResponse", value: { errorCode: Code.NotFound, errorMessage: "not found" } });
}
