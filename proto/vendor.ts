/**
 * Fills proto/ with the third-party files that our own .proto files import, out of npm packages that are
 * already installed. Run it by hand after one of those packages changes, and commit what it writes:
 * `buf build` then needs neither a network nor the Buf Schema Registry.
 *
 *   node proto/vendor.ts            (from the repository's root)
 *
 * Packages: @bufbuild/protobuf @bufbuild/protovalidate; for development also grpc-health-check
 * @grpc/reflection google-gax (read for their .proto files only, never imported).
 *
 * @bufbuild/protovalidate ships validate.proto as a compiled descriptor, not as text, so the text is printed
 * from that descriptor. Options and comments are left out: the compiler needs only names, numbers and types.
 * The generated code and the validator use the package's own full descriptor (see map_imports in buf.gen.yaml).
 */
import { copyFileSync, mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { isFieldSet } from "@bufbuild/protobuf";
import {
  type DescriptorProto,
  type EnumDescriptorProto,
  type FieldDescriptorProto,
  FieldDescriptorProtoSchema,
  type FileDescriptorProto,
  FieldDescriptorProto_Label as Label,
  FieldDescriptorProto_Type as Type,
} from "@bufbuild/protobuf/wkt";
import { file_buf_validate_validate } from "@bufbuild/protovalidate/gen/buf/validate/validate_pb.js";

const copies: Record<string, string> = {
  "grpc/health/v1/health.proto": "grpc-health-check/proto/health/v1/health.proto",
  "grpc/reflection/v1/reflection.proto": "@grpc/reflection/build/proto/grpc/reflection/v1/reflection.proto",
  "grpc/reflection/v1alpha/reflection.proto": "@grpc/reflection/build/proto/grpc/reflection/v1alpha/reflection.proto",
  "google/rpc/status.proto": "google-gax/build/protos/google/rpc/status.proto",
  "google/rpc/error_details.proto": "google-gax/build/protos/google/rpc/error_details.proto",
};

/** Prints a proto2 or proto3 file (no editions, no groups, no services) so that a compiler can read it again. */
export function printProto(file: FileDescriptorProto): string {
  const proto3 = file.syntax === "proto3";
  const lines = [
    `// Printed from the descriptor in @bufbuild/protovalidate by proto/vendor.ts. Options are left out. Do not edit.`,
    `syntax = "${file.syntax || "proto2"}";`,
    `package ${file.package};`,
    ...file.dependency.map((path) => `import "${path}";`),
  ];
  for (const entry of file.enumType) printEnum(entry, "");
  for (const message of file.messageType) printMessage(message, "");
  for (const extendee of new Set(file.extension.map((field) => field.extendee))) {
    lines.push(`extend ${extendee} {`);
    for (const field of file.extension) if (field.extendee === extendee) printField(field, "  ", false);
    lines.push("}");
  }
  return `${lines.join("\n")}\n`;

  function printMessage(message: DescriptorProto, indent: string): void {
    const inner = `${indent}  `;
    lines.push(`${indent}message ${message.name} {`);
    for (const entry of message.enumType) printEnum(entry, inner);
    for (const nested of message.nestedType) printMessage(nested, inner);
    message.oneofDecl.forEach((oneof, index) => {
      const members = message.field.filter((field) => inOneof(field) && field.oneofIndex === index);
      if (members.length === 0) return; // the synthetic oneof of a proto3 optional field
      lines.push(`${inner}oneof ${oneof.name} {`);
      for (const field of members) printField(field, `${inner}  `, true);
      lines.push(`${inner}}`);
    });
    for (const field of message.field) if (!inOneof(field)) printField(field, inner, false);
    for (const range of message.extensionRange) lines.push(`${inner}extensions ${printRange(range)};`);
    for (const range of message.reservedRange) lines.push(`${inner}reserved ${printRange(range)};`);
    for (const name of message.reservedName) lines.push(`${inner}reserved "${name}";`);
    lines.push(`${indent}}`);
  }

  function printEnum(entry: EnumDescriptorProto, indent: string): void {
    lines.push(`${indent}enum ${entry.name} {`);
    if (entry.options?.allowAlias) lines.push(`${indent}  option allow_alias = true;`);
    for (const value of entry.value) lines.push(`${indent}  ${value.name} = ${value.number};`);
    lines.push(`${indent}}`);
  }

  function printField(field: FieldDescriptorProto, indent: string, insideOneof: boolean): void {
    const implicit = insideOneof || (proto3 && field.label === Label.OPTIONAL && !field.proto3Optional);
    const label = implicit ? "" : `${Label[field.label].toLowerCase()} `;
    const named = field.type === Type.MESSAGE || field.type === Type.ENUM;
    const type = named ? field.typeName : Type[field.type].toLowerCase();
    lines.push(`${indent}${label}${type} ${field.name} = ${field.number};`);
  }
}

/** oneof_index 0 is a legal value, so presence decides, not truth. */
function inOneof(field: FieldDescriptorProto): boolean {
  return isFieldSet(field, FieldDescriptorProtoSchema.field.oneofIndex) && !field.proto3Optional;
}

/** Descriptor ranges exclude their end; the language's ranges include it. */
function printRange(range: { start: number; end: number }): string {
  const last = range.end - 1;
  if (last === range.start) return `${last}`;
  return `${range.start} to ${last >= 536_870_911 ? "max" : last}`;
}

if (import.meta.main) {
  for (const [path, source] of Object.entries(copies)) {
    const target = join("proto", path);
    mkdirSync(dirname(target), { recursive: true });
    copyFileSync(join("node_modules", source), target);
  }
  const target = "proto/buf/validate/validate.proto";
  mkdirSync(dirname(target), { recursive: true });
  writeFileSync(target, printProto(file_buf_validate_validate.proto));
  console.log(`wrote ${Object.keys(copies).length + 1} files under proto/`);
}
