/** Says where JSON does not fit a message, by the rules of https://protobuf.dev/programming-guides/json/ */
import { type DescField, type DescMessage, ScalarType } from "@bufbuild/protobuf";
import type { FieldViolation } from "../core/error.ts";
import { describe } from "../core/fields.ts";
import { isJsonObject, type JsonValue } from "../core/json.ts";

const maxViolations = 16;

/**
 * Fields whose JSON is certainly of a wrong type, in the contract's words (`messages[0].parts[1].text`). It names only
 * what the Protobuf library would refuse too; what it lets pass, that library still judges.
 */
export function findJsonViolations(message: DescMessage, value: JsonValue): FieldViolation[] {
  const violations: FieldViolation[] = [];
  checkMessage(message, value, "", violations);
  return violations;
}

function checkMessage(desc: DescMessage, value: JsonValue, path: string, found: FieldViolation[]): void {
  if (desc.typeName.startsWith("google.protobuf.")) return; // each has a JSON form of its own
  if (!isJsonObject(value)) {
    add(found, path === "" ? "message" : path, "an object", value);
    return;
  }
  for (const field of desc.fields) {
    // A client may write a field either way.
    for (const name of field.name === field.jsonName ? [field.name] : [field.name, field.jsonName]) {
      const member = Object.hasOwn(value, name) ? value[name] : undefined;
      if (member === undefined || member === null) continue;
      checkField(field, member, path === "" ? field.name : `${path}.${field.name}`, found);
    }
  }
}

function checkField(field: DescField, value: JsonValue, path: string, found: FieldViolation[]): void {
  if (found.length >= maxViolations) return;
  switch (field.fieldKind) {
    case "scalar":
      checkScalar(field.scalar, value, path, found);
      return;
    case "enum":
      checkEnum(value, path, found);
      return;
    case "message":
      checkMessage(field.message, value, path, found);
      return;
    case "list":
      if (!Array.isArray(value)) add(found, path, "an array", value);
      else for (const [index, item] of value.entries()) checkElement(field, item, `${path}[${index}]`, found);
      return;
    case "map":
      if (!isJsonObject(value)) add(found, path, "an object", value);
      else for (const item of Object.values(value)) checkElement(field, item, `${path}[...]`, found);
      return;
  }
}

function checkElement(field: DescField & { fieldKind: "list" | "map" }, value: JsonValue, path: string, found: FieldViolation[]): void {
  if (found.length >= maxViolations) return;
  const kind = field.fieldKind === "list" ? field.listKind : field.mapKind;
  if (kind === "message" && field.message !== undefined) checkMessage(field.message, value, path, found);
  else if (kind === "scalar" && field.scalar !== undefined) checkScalar(field.scalar, value, path, found);
  else checkEnum(value, path, found);
}

function checkEnum(value: JsonValue, path: string, found: FieldViolation[]): void {
  if (typeof value !== "string" && typeof value !== "number" && value !== null) add(found, path, "the name of an enum value", value);
}

function checkScalar(scalar: ScalarType, value: JsonValue, path: string, found: FieldViolation[]): void {
  switch (scalar) {
    case ScalarType.STRING:
      if (typeof value !== "string") add(found, path, "a string", value);
      return;
    case ScalarType.BYTES:
      if (typeof value !== "string") add(found, path, "a string of base64", value);
      return;
    case ScalarType.BOOL:
      if (typeof value !== "boolean") add(found, path, "true or false", value);
      return;
    default: {
      // Numbers may be written as strings: 64 bits do not fit a JSON number everywhere.
      const isNumber = typeof value === "number" || typeof value === "bigint" || (typeof value === "string" && value.trim() !== "");
      if (!isNumber || (typeof value === "string" && Number.isNaN(Number(value)) && value !== "NaN")) add(found, path, "a number", value);
    }
  }
}

function add(found: FieldViolation[], field: string, expected: string, value: JsonValue): void {
  found.push({ field, description: `must be ${expected}, not ${describe(value)}` });
}
