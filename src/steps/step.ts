import type { z } from 'zod';
import type { ServiceName } from '../config/profile.js';
import type { Gateway } from '../hosts/gateway.js';
import type { BackupSet } from '../stores/backup-set/backup-set.js';
import type { Check } from '../stores/check.js';
import type { Cluster } from '../stores/cluster.js';

/** `read` changes nothing; `write` adds; `destroy` replaces or removes what is there; `ask` waits for a person. */
export type Effect = 'read' | 'write' | 'destroy' | 'ask';

/** What a step will do, found out without touching anything. */
export interface StepPlan {
  /** One line: `Restore Postgres from backup 20261121T020000Z (25 h 12 min old)`. */
  summary: string;
  /** The exact commands and requests, as a person could paste them. */
  commands: string[];
  /** The blast radius, counted live: `412,031 memories`. Empty when nothing is lost. */
  destroys: string[];
  /** Why the blast radius cannot be counted now: that nothing is named above does then not mean that nothing is lost. */
  uncounted?: string;
  /** What can bring it back. */
  wayBack: string;
  pointOfNoReturn: string;
  /** What an abort, or a failure half-way, leaves behind. */
  onAbort: string;
  /** Milliseconds; absent when nothing is known. A kind can only guess: what an earlier run took is put in its place. */
  estimateMs?: number;
  /** How much there is to do, where it can be counted beforehand. */
  work?: Work;
  /** The earlier run that the estimate goes by; absent where it is a guess. No kind gives it: the engine does. */
  measured?: PastTime;
  /** Asked before it runs; absent when the answer was given beforehand. */
  asks?: Question;
  /** Why this step has nothing to do on this cluster: it is then skipped, which is not the same as done. */
  notApplicable?: string;
  /** An optional step that nobody asked for, and how to ask for it: it is no part of this run, which is no exception. */
  notAskedFor?: string;
}

/** How much a step has to do. */
export interface Work {
  amount: number;
  unit: 'bytes' | 'rows' | 'items';
}

/** How long a step took in an earlier run in which it succeeded. */
export interface PastTime {
  run: string;
  /** What that run was for: `live`, `drill`, `train`. */
  mode: string;
  /** The cluster, where it was another one. */
  cluster?: string;
  /** When it began, ISO 8601 in UTC. */
  at: string;
  /** Milliseconds. */
  tookMs: number;
  work?: Work;
}

/** What an undo of a step would do, found out without touching anything. */
export interface UndoPlan {
  /** What is there then, in a sentence: `the database novamem of before, from its safety copy`. Empty: nothing had been changed. */
  putsBack: string;
  /** What stands in its place now, counted live, and would go. Empty when nothing does. */
  replaces: string[];
  /** Where that is kept; absent where it is gone for good. */
  keeps?: string;
}

/** What an asking step wants of a person before it goes on. */
export type Question =
  | { type: 'choose'; question: string; options: { choice: string; title: string; because: string }[] }
  | { type: 'type'; question: string; words: string }
  /** Free text, which the kind accepts or refuses. `hint`: what forms it may have, a line each. */
  | { type: 'text'; question: string; hint: string[] };

/** What a preflight saw, and what to type or do about it. A blocking one keeps the step from running, and always says that. */
export type Finding =
  | { level: 'blocking'; message: string; next: string }
  | { level: 'warning' | 'info'; message: string; next?: string };

/** `seconds`: nothing can be counted, so it is said how long is waited already, of how long at most. */
export type ProgressUnit = 'bytes' | 'rows' | 'items' | 'seconds';

export type StepEvent<F = unknown> =
  /** A line, or several that came together, with line ends between. */
  | { type: 'output'; line: string }
  | { type: 'progress'; done: number; total?: number; unit: ProgressUnit; text: string }
  /** With `adds` each fact is a record whose entries come to those that are there; else it takes the place of what is there. */
  | { type: 'facts'; facts: Partial<F>; adds?: true }
  | { type: 'safety-copy'; of: string; at: string; verified: string };

/** What reality says of a step on resume or retry. */
export type Probe = 'not-started' | 'partial' | 'done' | 'unknown';

/** Where a new backup set goes. */
export interface NewBackup {
  id: string;
  /** Where it is made. */
  folder: string;
  /** The URL to which it is sent piece by piece; absent where the folder is its place. */
  to?: string;
}

/** What a step is given. */
export interface StepContext {
  runId: string;
  cluster: Cluster;
  gateway: Gateway;
  /** What is restored from; absent for runbooks that restore nothing. */
  backup?: BackupSet;
  /** What a person has answered to what this step asks. */
  answer?: string;
  newBackup?: NewBackup;
  /** This run's own folder for safety copies. */
  workFolder: string;
  /** `preflight`: the whole runbook is looked at before anything runs. `ready`: this step is next. */
  phase: 'preflight' | 'ready';
  /** Whether an earlier step of this run starts the service: that it does not answer in the preflight is then no obstacle. */
  startsEarlier(service: ServiceName): boolean;
  /** What an earlier attempt of this very step left; empty at the first. Its safety copies hold what was there before all of them. */
  earlier: Record<string, unknown>;
  /** Facts of the steps of a kind that have succeeded in this run, in their order. */
  factsOf<P, F>(kind: StepKind<P, F>): F[];
}

/** One kind of step. Adding one is adding one file and one line in the registry. P: parameters, F: facts it leaves. */
export interface StepKind<P, F> {
  kind: string;
  effect: Effect;
  /** Whether it restores from a backup set, compares with one where there is one, puts one to the proof, or adds to a new one. */
  backupSet?: 'reads' | 'compares' | 'proves' | 'writes';
  /** It proves all of the cluster at once: that it fails may come of a store that is none of this runbook's. */
  provesAll?: true;
  params: z.ZodType<P>;
  /**
   * For kinds that ask: the answers that steps may depend on (none for free text), and the one that was given beforehand.
   * `give`: how free text is given beforehand, as `--set <step>.` goes on: `target=latest`.
   */
  answers?(p: P): { choices: string[]; given?: string; give?: string };
  /** For kinds that ask for free text: why this one is no answer, empty when it is. What only reality can tell is for `check`. */
  refuses?(p: P, answer: string): string;
  /** What it would do; never reaches the gateway. */
  plan(p: P, ctx: StepContext): Promise<StepPlan>;
  /** The preflight; never reaches the gateway. */
  check(p: P, ctx: StepContext): Promise<Finding[]>;
  run(p: P, ctx: StepContext, signal: AbortSignal): AsyncIterable<StepEvent<F>>;
  /** Expected against actual; a step without evidence has not succeeded. */
  verify(p: P, ctx: StepContext, facts: F): Promise<Check[]>;
  /** Asks reality, not the journal, how far this step has come. */
  probe(p: P, ctx: StepContext, facts: Partial<F>): Promise<Probe>;
  /** What came of it when it succeeded, in a sentence. With `exception` the run has recovered with exceptions only. */
  conclusion?(facts: Partial<F>): { text: string; exception: boolean } | undefined;
  /** Puts back what was there before the first attempt. Done half-way already, it goes on from there. */
  undo?(p: P, ctx: StepContext, facts: Partial<F>): AsyncIterable<StepEvent<F>>;
  /** What an undo would do; never reaches the gateway. `since`: when the step ended. */
  planUndo?(p: P, ctx: StepContext, facts: Partial<F>, since: Date): Promise<UndoPlan>;
  /** After an undo: what was before against what is there. None where the step had changed nothing that could be compared. */
  verifyUndo?(p: P, ctx: StepContext, facts: Partial<F>): Promise<Check[]>;
}

export type AnyStepKind = StepKind<unknown, unknown>;

/** A plan for a step that only reads: it destroys nothing and needs no way back. */
export function readingPlan(summary: string, commands: string[], more: Partial<StepPlan> = {}): StepPlan {
  return {
    summary,
    commands,
    destroys: [],
    wayBack: 'not needed: nothing is changed',
    pointOfNoReturn: 'none',
    onAbort: 'nothing is changed',
    ...more,
  };
}
