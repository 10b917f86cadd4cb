/** Configuration before it is checked: a tree of values that know where they were written. */

/** Where a value was written: in a file, an environment variable or a flag. */
export interface Place {
  /** As shown to people. */
  readonly source: string;
  readonly line?: number;
  readonly column?: number;
}

export type Path = readonly (string | number)[];
export type Scalar = string | number | boolean | null;

export interface ConfigNode {
  value: Scalar | Map<string, ConfigNode> | ConfigNode[];
  readonly place: Place;
  /** Where the key stands that leads here. */
  readonly keyPlace?: Place;
  /** Directory that relative paths in it start from. */
  readonly directory: string;
  /** Whether it came as text from the environment or a flag, and so takes the type that the field wants. */
  readonly textual?: boolean;
}

export type ConfigMap = Omit<ConfigNode, "value"> & { value: Map<string, ConfigNode> };

export function isConfigMap(node: ConfigNode | undefined): node is ConfigMap {
  return node?.value instanceof Map;
}

export function childOf(node: ConfigNode | undefined, key: string | number): ConfigNode | undefined {
  if (isConfigMap(node)) return node.value.get(String(key));
  return Array.isArray(node?.value) && typeof key === "number" ? node.value[key] : undefined;
}

export function nodeAt(root: ConfigNode, path: Path): ConfigNode | undefined {
  let node: ConfigNode | undefined = root;
  for (const key of path) node = childOf(node, key);
  return node;
}

/** Where a path stands, or the nearest thing around it that is written anywhere. */
export function placeOf(root: ConfigNode, path: Path, of: "key" | "value"): Place | undefined {
  const node = nodeAt(root, path);
  if (node !== undefined) return (of === "key" ? node.keyPlace : undefined) ?? node.place;
  for (let length = path.length - 1; length > 0; length--) {
    const around = nodeAt(root, path.slice(0, length));
    if (around !== undefined) return around.keyPlace ?? around.place;
  }
  return undefined;
}

/** A plain value as a tree, every part of it standing at the one place. */
export function treeOf(value: unknown, place: Place, directory: string, textual = false): ConfigNode {
  const at = { place, keyPlace: place, directory, textual };
  if (Array.isArray(value)) return { ...at, value: value.map((item) => treeOf(item, place, directory, textual)) };
  if (typeof value === "object" && value !== null) {
    return { ...at, value: new Map(Object.entries(value).map(([key, member]) => [key, treeOf(member, place, directory, textual)])) };
  }
  return { ...at, value: typeof value === "string" || typeof value === "number" || typeof value === "boolean" ? value : null };
}

/** The tree as plain data. */
export function plainOf(node: ConfigNode): unknown {
  if (isConfigMap(node)) return Object.fromEntries([...node.value].map(([key, child]) => [key, plainOf(child)]));
  return Array.isArray(node.value) ? node.value.map(plainOf) : node.value;
}

/** `over` wins, key by key down to the single values; lists are replaced whole. */
export function overlay(base: ConfigNode, over: ConfigNode): ConfigNode {
  if (!isConfigMap(base) || !isConfigMap(over)) return over;
  const merged = new Map(base.value);
  for (const [key, child] of over.value) {
    const below = merged.get(key);
    merged.set(key, below === undefined ? child : overlay(below, child));
  }
  return { ...base, value: merged };
}

/**
 * The files of one directory, in order: named maps are merged name by name, of everything else the last file's wins
 * whole (surfaces.md 2.10).
 */
export function mergeFiles(files: readonly ConfigMap[], namedMaps: ReadonlySet<string>): ConfigMap | undefined {
  const [first, ...rest] = files;
  if (first === undefined) return undefined;
  const merged = new Map(first.value);
  for (const file of rest) {
    for (const [key, child] of file.value) {
      const below = merged.get(key);
      const named = namedMaps.has(key) && isConfigMap(below) && isConfigMap(child);
      merged.set(key, named ? { ...below, value: new Map([...below.value, ...child.value]) } : child);
    }
  }
  return { ...first, value: merged };
}

/** A path as people write it: `providers.mine.base_url`, `routes["a b"].targets[0]`. */
export function writePath(path: Path): string {
  let text = "";
  for (const key of path) {
    if (typeof key === "number") text += `[${key}]`;
    else if (/^[A-Za-z_$][\w-]*$/.test(key)) text += text === "" ? key : `.${key}`;
    else text += `[${JSON.stringify(key)}]`;
  }
  return text;
}

export function writePlace({ source, line, column }: Place): string {
  return line === undefined ? source : `${source}:${line}${column === undefined ? "" : `:${column}`}`;
}
