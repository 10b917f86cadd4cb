/** The rules that hold, and which of them hold for a call. */
import { createHash } from "node:crypto";
import type { LimitFacts, LimitFallback, LimitField, LimitSubject } from "../core/limits.ts";
import { limitSubjects } from "../core/limits.ts";
import { every, fallbackOf, type LimitRule, limitsOf } from "./limit-rule.ts";

/** One limit that holds for a call. */
export interface HeldLimit {
  readonly rule: LimitRule;
  readonly field: LimitField;
  /** Which one is counted. */
  readonly subjectId: string;
  readonly limit: number;
  readonly fallback: LimitFallback;
  /** Of its counter, in the tenant. */
  readonly key: string;
}

/** Rules of one kind of subject, by the id they name. */
type RulesById = ReadonlyMap<string, readonly LimitRule[]>;

export class RuleBook {
  #configured: readonly LimitRule[];
  #stored: readonly LimitRule[] = [];
  #bySubject: ReadonlyMap<LimitSubject, RulesById> = new Map();

  constructor(configured: readonly LimitRule[]) {
    this.#configured = configured;
    this.#index();
  }

  /** Replaces the rules that administration set. */
  useStored(rules: readonly LimitRule[]): void {
    this.#stored = rules;
    this.#index();
  }

  get rules(): readonly LimitRule[] {
    return [...this.#configured, ...this.#stored];
  }

  get isEmpty(): boolean {
    return this.#bySubject.size === 0;
  }

  /**
   * Every limit that holds. Of several rules for one kind of subject the closest says a limit: one that names the subject
   * before one for all, one of the tenant before one for all tenants; where two are as close both hold.
   */
  find(facts: LimitFacts): readonly HeldLimit[] {
    const held: HeldLimit[] = [];
    for (const [subject, byId] of this.#bySubject) {
      const names = namesOf(facts, subject);
      if (names.length > 0) addClosest(held, facts.tenant, subject, names, byId);
    }
    return held;
  }

  #index(): void {
    const bySubject = new Map<LimitSubject, Map<string, LimitRule[]>>();
    // In the subjects' own order, so that what is refused first does not depend on who wrote first.
    for (const subject of limitSubjects) {
      for (const rule of this.rules) {
        if (rule.subject !== subject || limitsOf(rule).length === 0) continue;
        const byId = bySubject.get(subject) ?? new Map<string, LimitRule[]>();
        byId.set(rule.subjectId, [...(byId.get(rule.subjectId) ?? []), rule]);
        bySubject.set(subject, byId);
      }
    }
    this.#bySubject = bySubject;
  }
}

interface Candidate {
  readonly rule: LimitRule;
  readonly limit: number;
  readonly name: string;
  readonly closeness: number;
}

function addClosest(held: HeldLimit[], tenant: string, subject: LimitSubject, names: readonly string[], byId: RulesById): void {
  const closest = new Map<LimitField, Candidate[]>();
  for (const [index, name] of [...names, every].entries()) {
    for (const rule of byId.get(name) ?? []) {
      if (rule.tenant !== every && rule.tenant !== tenant) continue;
      const closeness = (index < names.length ? 2 : 0) + (rule.tenant === every ? 0 : 1);
      for (const [field, limit] of limitsOf(rule)) {
        const best = closest.get(field);
        const candidate = { rule, limit, name: name === every ? (names[0] ?? every) : name, closeness };
        if (best === undefined || (best[0]?.closeness ?? 0) < closeness) closest.set(field, [candidate]);
        else if (best[0]?.closeness === closeness) best.push(candidate);
      }
    }
  }
  for (const [field, candidates] of closest) {
    for (const { rule, limit, name } of candidates) {
      const counted = subject === "end_user" || subject === "owner" ? digest(name) : name;
      const key = `${rule.id}:${field}:${subject}:${counted}`;
      held.push({ rule, field, subjectId: name, limit, fallback: fallbackOf(rule.settings, field), key });
    }
  }
}

/** What a call is, as one kind of subject: the name that tells it best first. */
function namesOf({ tenant, project, owner, key, endUser, models, route }: LimitFacts, subject: LimitSubject): readonly string[] {
  switch (subject) {
    case "model":
      return models;
    case "tenant":
      return [tenant];
    case "project":
      return some(project);
    case "owner":
      return some(owner);
    case "key":
      return some(key);
    case "end_user":
      return some(endUser);
    case "route":
      return some(route);
  }
}

function some(name: string): readonly string[] {
  return name === "" ? [] : [name];
}

/** End users and owners are names of people: of any length, and nobody's business in a shared store. */
function digest(name: string): string {
  return createHash("sha256").update(name).digest("base64url").slice(0, 22);
}
