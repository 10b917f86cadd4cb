/** Who may call an RPC, read from the contract: (dragoman.v1.auth) of its method. */
import { type DescMethod, getOption, hasOption } from "@bufbuild/protobuf";
import { AccessPlane, AccessRole, auth } from "../../gen/dragoman/v1/auth_pb.ts";
import type { AccessRule } from "../core/access.ts";
import { isScope } from "../core/scope.ts";

export type Plane = "data" | "admin";

const roleNames: Readonly<Partial<Record<AccessRole, AccessRule["role"]>>> = {
  [AccessRole.VIEWER]: "viewer",
  [AccessRole.MEMBER]: "member",
  [AccessRole.OPERATOR]: "operator",
  [AccessRole.ADMIN]: "admin",
};

const planeNames: Readonly<Partial<Record<AccessPlane, Plane>>> = { [AccessPlane.DATA]: "data", [AccessPlane.ADMIN]: "admin" };

/** Throws where the method declares nothing, or for the other port: a procedure that nobody guards is not served. */
export function readAuthRule(method: DescMethod, plane: Plane): AccessRule {
  const name = `${method.parent.typeName}.${method.name}`;
  if (!hasOption(method, auth)) throw new Error(`${name} has no option (dragoman.v1.auth)`);
  const { scope, role, auditor, plane: declared, appBound } = getOption(method, auth);
  const least = roleNames[role];
  if (least === undefined || !isScope(scope)) throw new Error(`${name} names no known role and scope in (dragoman.v1.auth)`);
  if (planeNames[declared] !== plane) throw new Error(`${name} is not declared for the ${plane} port`);
  return { scope, role: least, auditor, beyondApps: plane === "admin" && !appBound };
}
