/** A gRPC server that answers as a test says, down to the bytes; closed after the test. */
import { type DescMethod, fromBinary, type Message, type MessageShape } from "@bufbuild/protobuf";
import { type Metadata, Server, ServerCredentials, type ServerUnaryCall, type ServerWritableStream } from "@grpc/grpc-js";
import { onTestFinished } from "vitest";

/** What one call brought. */
export interface SeenCall {
  readonly message: Message;
  readonly metadata: Metadata;
  /** Milliseconds that were left. */
  readonly leftMs: number;
  /** Ends with the call. */
  readonly cancelled: { readonly is: boolean };
  /** Of the client's certificate, where it showed one. */
  readonly clientName: string | undefined;
}

/** The messages of the answer as bytes. One that is undefined never comes: the call hangs. */
export type Answers = (seen: SeenCall) => readonly (Uint8Array | undefined)[];

/** Gives the port and the calls so far. */
export async function startGrpcServer(
  method: DescMethod,
  answers: Answers,
  credentials: ServerCredentials = ServerCredentials.createInsecure(),
): Promise<{ port: number; seen: SeenCall[] }> {
  const server = new Server();
  const seen: SeenCall[] = [];
  const note = (call: ServerUnaryCall<MessageShape<DescMethod["input"]>, Uint8Array>): SeenCall => {
    const deadline = call.getDeadline();
    const cancelled = { is: false };
    call.on("cancelled", () => {
      cancelled.is = true;
    });
    const auth = call.getAuthContext();
    const entry = {
      message: call.request,
      metadata: call.metadata,
      leftMs: Number(deadline) - Date.now(),
      cancelled,
      clientName: [auth.sslPeerCertificate?.subject?.CN].flat()[0],
    };
    seen.push(entry);
    return entry;
  };
  const definition = {
    path: `/${method.parent.typeName}/${method.name}`,
    requestStream: false,
    responseStream: method.methodKind === "server_streaming",
    requestSerialize: (bytes: Uint8Array) => Buffer.from(bytes),
    requestDeserialize: (bytes: Buffer) => fromBinary(method.input, bytes),
    responseSerialize: (bytes: Uint8Array) => Buffer.from(bytes),
    responseDeserialize: (bytes: Buffer) => bytes,
  };
  server.addService(
    { call: definition },
    {
      call(call: ServerWritableStream<Message, Uint8Array>, done?: (error: null, reply: Uint8Array) => void) {
        const replies = answers(note(call as never));
        for (const reply of replies) {
          if (reply === undefined) return;
          if (done === undefined) call.write(reply);
          else done(null, reply);
        }
        if (done === undefined) call.end();
      },
    },
  );
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync("127.0.0.1:0", credentials, (error, bound) => (error === null ? resolve(bound) : reject(error)));
  });
  onTestFinished(() => server.forceShutdown());
  return { port, seen };
}
