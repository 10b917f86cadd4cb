/** Every RPC of ours says who may call it; one that does not must not be built (reliability.md 2.3). */
import { readFileSync } from "node:fs";
import { createFileRegistry, fromBinary, getExtension, hasExtension, isFieldSet } from "@bufbuild/protobuf";
import { FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";

const ruleFields = ["scope", "role", "plane"];

/** What is wrong with the RPCs of a descriptor set, a line each. */
export function findMissingRules(descriptorSet: Uint8Array): string[] {
  const registry = createFileRegistry(fromBinary(FileDescriptorSetSchema, descriptorSet));
  const auth = registry.getExtension("dragoman.v1.auth");
  if (auth?.message === undefined) return ["dragoman.v1.auth is not defined"];
  const { message } = auth;
  const problems: string[] = [];
  for (const entry of registry) {
    if (entry.kind !== "service" || !entry.typeName.startsWith("dragoman.")) continue;
    const plane = entry.typeName.startsWith("dragoman.admin.") ? 2 : 1;
    for (const { name, proto } of entry.methods) {
      const where = `${entry.typeName}.${name}`;
      const { options } = proto;
      if (options === undefined || !hasExtension(options, auth)) {
        problems.push(`${where} has no option (dragoman.v1.auth)`);
        continue;
      }
      const rule = getExtension(options, auth) as Parameters<typeof isFieldSet>[0];
      for (const field of message.fields) {
        if (ruleFields.includes(field.name) && !isFieldSet(rule, field))
          problems.push(`${where} does not set ${field.name} in (dragoman.v1.auth)`);
      }
      const said = (rule as unknown as { plane: number }).plane;
      if (said !== 0 && said !== plane) problems.push(`${where} is of the other plane`);
    }
  }
  return problems;
}

/** Throws with every problem. */
export function checkAuth(path: string): void {
  const problems = findMissingRules(readFileSync(path));
  if (problems.length > 0) throw new Error(problems.join("\n"));
}
