/** One message for the deltas of one upstream read: most of the cost of a token on the wire is per message (performance.md 5.8). */
import type { GenerateEvent } from "../core/event.ts";

/** Joins neighbouring deltas of one block; the joined one carries the sequence of its last part. Changes no event. */
export function mergeDeltas(events: readonly GenerateEvent[]): readonly GenerateEvent[] {
  if (events.length < 2) return events;
  const merged: GenerateEvent[] = [];
  let last: GenerateEvent | undefined;
  let lastIsOurs = false;
  for (const event of events) {
    if (last !== undefined && isPlainDelta(last) && isPlainDelta(event) && continues(last, event)) {
      if (!lastIsOurs) {
        last = copyDelta(last);
        lastIsOurs = true;
        merged[merged.length - 1] = last;
      }
      append(last, event);
      continue;
    }
    merged.push(event);
    last = event;
    lastIsOurs = false;
  }
  return merged;
}

/** Text or arguments and nothing else: what hangs on a delta stays with it. */
function isPlainDelta({ event, extrasJson, $unknown: newer }: GenerateEvent): boolean {
  if (event.case !== "blockDelta" || newer !== undefined || event.value.$unknown !== undefined) return false;
  const { delta, annotations, logprobs } = event.value;
  if (delta.case !== "text" && delta.case !== "argumentsJson") return false;
  return annotations.length === 0 && logprobs.length === 0 && Object.keys(extrasJson).length === 0;
}

function continues(a: GenerateEvent, b: GenerateEvent): boolean {
  if (a.event.case !== "blockDelta" || b.event.case !== "blockDelta") return false;
  const { candidate, index, section, delta } = a.event.value;
  const next = b.event.value;
  return candidate === next.candidate && index === next.index && section === next.section && delta.case === next.delta.case;
}

function copyDelta(source: GenerateEvent): GenerateEvent {
  if (source.event.case !== "blockDelta") return source;
  const { value } = source.event;
  const { delta } = value;
  return { ...source, event: { case: "blockDelta", value: { ...value, delta: { ...delta } } } };
}

function append(target: GenerateEvent, next: GenerateEvent): void {
  if (target.event.case !== "blockDelta" || next.event.case !== "blockDelta") return;
  const ours = target.event.value.delta;
  const theirs = next.event.value.delta;
  if (ours.case === "text" && theirs.case === "text") ours.value += theirs.value;
  if (ours.case === "argumentsJson" && theirs.case === "argumentsJson") ours.value += theirs.value;
  target.sequence = next.sequence;
}
