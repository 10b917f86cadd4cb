import { readFileSync } from "node:fs";
import { join } from "node:path";
import { clearExtension, createFileRegistry, fromBinary, toBinary } from "@bufbuild/protobuf";
import { FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { expect, test } from "vitest";
import { auth } from "../../../gen/dragoman/v1/auth_pb.ts";
import { findMissingRules } from "../../../proto/check-auth.ts";

const bytes = readFileSync(join(import.meta.dirname, "../../../gen/dragoman.binpb"));

test("every RPC of the contract says who may call it", () => {
  expect(findMissingRules(bytes)).toEqual([]);
  const services = [...createFileRegistry(fromBinary(FileDescriptorSetSchema, bytes))].filter(({ kind }) => kind === "service");
  expect(services.length).toBeGreaterThan(3);
});

test("one that does not is named", () => {
  const set = fromBinary(FileDescriptorSetSchema, bytes);
  const methods = set.file
    .flatMap(({ package: name, service }) => (name === "dragoman.admin.v1" ? service : []))
    .flatMap(({ method }) => method);
  const revoke = methods.find(({ name }) => name === "RevokeKey");
  if (revoke?.options === undefined) throw new Error("RevokeKey has gone");
  clearExtension(revoke.options, auth);
  expect(findMissingRules(toBinary(FileDescriptorSetSchema, set))).toEqual([
    "dragoman.admin.v1.KeyService.RevokeKey has no option (dragoman.v1.auth)",
  ]);
});
