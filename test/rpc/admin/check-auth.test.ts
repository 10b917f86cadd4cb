import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { clearExtension, createFileRegistry, fromBinary, getExtension, setExtension, toBinary } from "@bufbuild/protobuf";
import { FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { expect, test } from "vitest";
import { auth } from "../../../gen/dragoman/v1/auth_pb.ts";
import { checkAuth, findMissingRules } from "../../../proto/check-auth.ts";

const bytes = readFileSync(join(import.meta.dirname, "../../../gen/dragoman.binpb"));

test("every RPC of the contract says who may call it", () => {
  expect(findMissingRules(bytes)).toEqual([]);
  const services = [...createFileRegistry(fromBinary(FileDescriptorSetSchema, bytes))].filter(({ kind }) => kind === "service");
  expect(services.length).toBeGreaterThan(3);
});

test("one that does not is named", () => {
  const { set, options } = readRevokeKey();
  clearExtension(options, auth);
  expect(findMissingRules(toBinary(FileDescriptorSetSchema, set))).toEqual([
    "dragoman.admin.v1.KeyService.RevokeKey has no option (dragoman.v1.auth)",
  ]);
});

test("the build stops at one whose rule names no scope", () => {
  const { set, options } = readRevokeKey();
  const { scope: _, ...rest } = getExtension(options, auth);
  setExtension(options, auth, { ...rest, scope: "" });
  const directory = mkdtempSync(join(tmpdir(), "dragoman-auth-"));
  const file = join(directory, "made.binpb");
  try {
    writeFileSync(file, toBinary(FileDescriptorSetSchema, set));
    expect(() => checkAuth(file)).toThrow("dragoman.admin.v1.KeyService.RevokeKey does not set scope in (dragoman.v1.auth)");
  } finally {
    rmSync(directory, { recursive: true });
  }
});

function readRevokeKey() {
  const set = fromBinary(FileDescriptorSetSchema, bytes);
  const methods = set.file
    .flatMap(({ package: name, service }) => (name === "dragoman.admin.v1" ? service : []))
    .flatMap(({ method }) => method);
  const options = methods.find(({ name }) => name === "RevokeKey")?.options;
  if (options === undefined) throw new Error("RevokeKey has gone");
  return { set, options };
}
