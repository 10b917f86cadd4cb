/** What a model does, by its name. A name may begin with `sim-`, and with a provider before a slash. */
import { type FaultName, isFaultName } from "./faults.ts";

export type Behaviour =
  | { readonly kind: "echo" }
  | { readonly kind: "script" }
  | { readonly kind: "embed" }
  /** Echoes with a fault: instead of the answer, in its middle, or all along. */
  | { readonly kind: "fault"; readonly name: FaultName }
  /** Fails the first `times` times for each distinct request, with the vendor's 503. */
  | { readonly kind: "flaky"; readonly times: number }
  /** Answers with the vendor's error of this status. */
  | { readonly kind: "status"; readonly status: number }
  /** The vendor does not know this model. */
  | { readonly kind: "missing" }
  /** Any other name: plays a script, echoes otherwise. */
  | { readonly kind: "any" };

export function behaviourOf(model: string): Behaviour {
  const name = shortName(model);
  if (name === "echo" || name === "script" || name === "embed" || name === "missing") return { kind: name };
  const fault = name.startsWith("fault-") ? name.slice(6).replaceAll("-", "_") : "";
  if (isFaultName(fault)) return { kind: "fault", name: fault };
  const flaky = /^flaky-(\d{1,4})$/.exec(name)?.[1];
  if (flaky !== undefined) return { kind: "flaky", times: Number(flaky) };
  const status = /^status-([45]\d\d)$/.exec(name)?.[1];
  if (status !== undefined) return { kind: "status", status: Number(status) };
  return { kind: "any" };
}

/** Whether a model's name asks for unknown fields to be taken: it ends with `lenient`. */
export function isLenient(model: string): boolean {
  return model.endsWith("lenient");
}

function shortName(model: string): string {
  const last = model.slice(model.lastIndexOf("/") + 1);
  return last.startsWith("sim-") ? last.slice(4) : last;
}
