import type { Metadata } from "@grpc/grpc-js";

/** A value of the answer's initial metadata by lower-case name. */
export type ReplyHeader = (name: string) => string | undefined;

/** Reads what `metadata` gives by then; undefined before the answer has begun. */
export function headerOf(metadata: () => Metadata | undefined): ReplyHeader {
  return (name) => {
    const value = metadata()?.get(name)[0];
    return typeof value === "string" ? value : undefined;
  };
}
