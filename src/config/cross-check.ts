/** Whether the parts of a configuration fit each other. Works on the unchecked tree, so that every problem is found at once. */
import { nearest, suggestion } from "../core/nearest.ts";
import type { Problem } from "./problem.ts";
import { type ConfigNode, childOf, isConfigMap, type Path, placeOf } from "./tree.ts";

/** What exists without being configured. */
export interface KnownNames {
  /** Values of `providers.*.type`. */
  readonly providerTypes: readonly string[];
  /** Providers that are there without configuration: sim, local, discovered servers, vendors whose key is in the environment. */
  readonly providers: readonly string[];
}

export function crossCheck(root: ConfigNode, known: KnownNames): Problem[] {
  const problems: Problem[] = [];
  const report = (path: Path, message: string, of: "key" | "value" = "value") =>
    problems.push({ place: placeOf(root, path, of), path, message });
  const entries = (key: string): [string, ConfigNode][] => {
    const node = childOf(root, key);
    return isConfigMap(node) ? [...node.value] : [];
  };
  const disabled = new Set(entries("providers").flatMap(([name, node]) => (childOf(node, "enabled")?.value === false ? [name] : [])));
  for (const [section, name] of [
    ["sim", "sim"],
    ["local_embeddings", "local"],
  ] as const) {
    if (childOf(childOf(root, section), "enabled")?.value === false) disabled.add(name);
  }
  const providers = new Set([...entries("providers").map(([name]) => name), ...known.providers].filter((name) => !disabled.has(name)));

  /** Says why a provider's name leads nowhere; nothing where it leads somewhere. */
  const checkProvider = (name: string, path: Path, of: "key" | "value" = "value") => {
    if (providers.has(name)) return;
    if (disabled.has(name)) report(path, `names the provider "${name}", which is switched off; enable it, or name another`, of);
    else if (known.providerTypes.includes(name)) {
      report(path, `names the provider "${name}", which has no key; set the vendor's usual variable, or add providers.${name}.api_key`, of);
    } else
      report(path, `names the provider "${name}", which is not configured${suggestion(name, providers) || `; add it under providers`}`, of);
  };

  for (const [name, node] of entries("providers")) {
    const type = childOf(node, "type")?.value;
    if (typeof type === "string" && !known.providerTypes.includes(type)) {
      report(
        ["providers", name, "type"],
        `is no known type${suggestion(type, known.providerTypes) || `; use openai-compatible for any OpenAI-compatible server`}`,
      );
    } else if (type === undefined && !known.providerTypes.includes(name)) {
      const meant = nearest(name, known.providerTypes);
      const advice =
        meant === undefined
          ? "add `type: openai-compatible` for any OpenAI-compatible server"
          : `did you mean "${meant}"? If not, add its type`;
      report(["providers", name], `is no known vendor and has no type; ${advice}`, "key");
    }
  }

  const routes = entries("routes");
  const routeNames = new Set(routes.map(([name]) => name));
  for (const [name, node] of routes) {
    const targets = childOf(node, "targets")?.value;
    if (!Array.isArray(targets)) continue;
    for (const [index, target] of targets.entries()) {
      const provider = childOf(target, "provider")?.value;
      if (typeof provider === "string") checkProvider(provider, ["routes", name, "targets", index, "provider"]);
    }
  }

  for (const [name, node] of entries("aliases")) {
    const path = ["aliases", name];
    if (routeNames.has(name)) report(path, "is also the name of a route; rename one of them", "key");
    if (typeof node.value !== "string" || routeNames.has(node.value)) continue;
    const slash = node.value.indexOf("/");
    if (slash > 0) checkProvider(node.value.slice(node.value.startsWith("@") ? 1 : 0, slash), path);
    else
      report(
        path,
        `names "${node.value}", which is no route${suggestion(node.value, routeNames) || "; write provider/model or the name of a route"}`,
      );
  }

  const prices = childOf(root, "prices")?.value;
  for (const [index, price] of Array.isArray(prices) ? prices.entries() : []) {
    const provider = childOf(price, "provider")?.value;
    if (typeof provider === "string") checkProvider(provider, ["prices", index, "provider"]);
  }

  for (const [name] of entries("models")) {
    const slash = name.indexOf("/");
    if (slash > 0) checkProvider(name.slice(name.startsWith("@") ? 1 : 0, slash), ["models", name], "key");
  }
  return problems;
}
