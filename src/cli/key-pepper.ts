/** `dragoman keys pepper` and `keys rotate-pepper`: what the secrets of keys are hashed with, and how that is changed. */

import type { KeyStore } from "../core/key-store.ts";
import { maxPageSize } from "../core/page.ts";
import { exitCodes, StartError } from "../core/start-error.ts";
import type { Command, Option } from "./command.ts";
import { where, withTools } from "./key-tools.ts";
import { table } from "./terminal.ts";

const config: Record<string, Option> = where.config === undefined ? {} : { config: where.config };

/** So many keys that still wait are named. */
const maxNamed = 20;

export const showPeppers: Command = {
  name: "keys pepper",
  about: "show which peppers keys were hashed with",
  options: config,
  details: `A pepper is named by the beginning of a hash of it. Keys of a previous one are hashed anew when
they are used; once none is left, the previous one can be thrown away. Keys of a missing one can
never be verified: restore it, or revoke them. Keys that were imported have no pepper.`,
  run: (input, terminal) =>
    withTools(input, terminal, async ({ stores, peppers }) => {
      const known = peppers();
      const counts = await countByPepper(stores.keys);
      const ids = new Set([known.current.id, ...known.previous.map(({ id }) => id), ...counts.keys()]);
      const stateOf = (id: string) => (id === known.current.id ? "current" : known.find(id) === undefined ? "missing" : "previous");
      const rows = [...ids].map((id) => [id, stateOf(id), String(counts.get(id)?.length ?? 0)]);
      terminal.write(`${table([["PEPPER", "STATE", "KEYS"], ...rows])}\n`);
      const waiting = [...counts].flatMap(([id, keys]) => (id === known.current.id ? [] : keys));
      if (waiting.length === 0) return;
      const more = waiting.length > maxNamed ? `, and ${waiting.length - maxNamed} more` : "";
      terminal.writeError(`not hashed with the current pepper: ${waiting.slice(0, maxNamed).join(", ")}${more}\n`);
    }),
};

export const rotatePepper: Command = {
  name: "keys rotate-pepper",
  about: "make another pepper, without a key that stops",
  options: config,
  details: `The new pepper becomes the file \`pepper\` of the data directory, the old one goes to
\`pepper.previous\` beside it. Keys of the old one go on working and are hashed anew when they are
used; \`dragoman keys pepper\` shows how many are left. A gateway that runs sees the change with
the first key of the new pepper.

Where auth.pepper is set, change the configuration instead, on every replica in turn: first add the
new secret to auth.previous_peppers everywhere; then make it auth.pepper, and the old one a previous
one; at last take the old one away.`,
  run: (input, terminal) =>
    withTools(input, terminal, async ({ rotatePepper: rotate, note }, { auth }) => {
      if (auth.pepper !== undefined) {
        throw new StartError(
          "auth.pepper is set, so the pepper is changed there: `dragoman keys rotate-pepper --help` says how",
          exitCodes.usage,
        );
      }
      const { from, to } = rotate();
      await note("keys.rotate_pepper", "", { from: from.id, to: to.id });
      terminal.write(`the pepper is ${to.id} now; keys of ${from.id} are hashed anew when they are used\n`);
    }),
};

/** Ids of keys that still work, by the pepper of their hash, over all tenants. */
async function countByPepper(keys: Pick<KeyStore, "changesSince">): Promise<Map<string, string[]>> {
  const found = new Map<string, string[]>();
  for (let version = 0; ; ) {
    const records = await keys.changesSince(version, maxPageSize);
    for (const { id, pepperId, revokedAt } of records) {
      if (pepperId === "" || revokedAt !== undefined) continue;
      const list = found.get(pepperId);
      if (list === undefined) found.set(pepperId, [id]);
      else list.push(id);
    }
    const last = records.at(-1);
    if (last === undefined || records.length < maxPageSize) return found;
    version = last.version;
  }
}
