/** What a change made of a record, for the audit log: the fields that differ, before and after. */
import { type DescMessage, type MessageShape, toJson } from "@bufbuild/protobuf";

export interface RecordedChange {
  /** Values by the contract's names of the fields; absent where the record was not there. */
  readonly before?: Readonly<Record<string, unknown>>;
  readonly after?: Readonly<Record<string, unknown>>;
}

/** Fields that say nothing beside the entry's own time and subject. */
const implied: ReadonlySet<string> = new Set([
  "etag",
  "create_time",
  "update_time",
  "last_use_time",
  "last_seen_time",
  "prefix",
  "tenant",
  "id",
]);
/** Free text for whoever keeps settings there: that it changed is told, not what it holds. */
const hidden: ReadonlySet<string> = new Set(["settings_json"]);
/** Longer changes, such as lists of a thousand models, are told by the names of their fields. */
const maxLength = 4_096;

/** Messages as the service answers with them: they hold no secret. */
export function describeChange<Desc extends DescMessage>(
  schema: Desc,
  before: MessageShape<Desc> | undefined,
  after: MessageShape<Desc> | undefined,
): RecordedChange {
  const [old, fresh] = [fieldsOf(schema, before), fieldsOf(schema, after)];
  const names = [...new Set([...Object.keys(old), ...Object.keys(fresh)])].filter(
    (name) => !implied.has(name) && JSON.stringify(old[name]) !== JSON.stringify(fresh[name]),
  );
  const change = {
    ...(before === undefined ? {} : { before: pick(old, names) }),
    ...(after === undefined ? {} : { after: pick(fresh, names) }),
  };
  if (JSON.stringify(change).length <= maxLength) return change;
  const told = Object.fromEntries(names.map((name) => [name, "(too long)"]));
  return { ...(before === undefined ? {} : { before: told }), ...(after === undefined ? {} : { after: told }) };
}

function fieldsOf<Desc extends DescMessage>(schema: Desc, message: MessageShape<Desc> | undefined): Record<string, unknown> {
  if (message === undefined) return {};
  // What is empty is left out, so a field that became empty stands on one side alone.
  return toJson(schema, message, { useProtoFieldName: true }) as Record<string, unknown>;
}

function pick(fields: Readonly<Record<string, unknown>>, names: readonly string[]): Record<string, unknown> {
  return Object.fromEntries(
    names.filter((name) => fields[name] !== undefined).map((name) => [name, hidden.has(name) ? "(not shown)" : fields[name]]),
  );
}
