import type { Teach } from '../runbook/runbook.js';
import type { Effect, Finding, StepPlan, UndoPlan } from '../steps/step.js';
import type { Check } from '../stores/check.js';
import type { HeldLock } from './cluster-lock.js';
import type { CountedProgress } from './counted.js';
import type { Suspicion } from './diagnosis.js';
import type { Difference } from './differences.js';
import type { Expected } from './estimates.js';
import type { Guard } from './guards.js';
import type { Mode, RunOutcome, StepOutcome } from './journal.js';
import type { Standing } from './standing.js';

/**
 * Where a step stands. `asking`: a person must type the cluster's name. `deciding`: it failed or was blocked, and a
 * person must say what now.
 */
export type StepState =
  | 'waiting'
  | 'checking'
  | 'asking'
  | 'running'
  | 'verifying'
  | 'undoing'
  | 'deciding'
  | StepOutcome;

/** Something is done or proved for it now, or put back. */
export const AT_WORK: ReadonlySet<StepState> = new Set(['running', 'verifying', 'undoing']);

/** A safety copy. `at`: a path, or in words where it is. */
export interface SafetyCopy {
  of: string;
  at: string;
  verified: string;
  /** Milliseconds since 1970. */
  takenAt: number;
}

/** A safety copy as it is now. */
export interface CopyNow extends SafetyCopy {
  /** What it takes on this machine's disk; absent where it is no file here. */
  bytes?: number;
  /** It was a file here, and is not there any more. */
  gone: boolean;
}

export interface StepSnapshot {
  id: string;
  uses: string;
  why: string;
  effect: Effect;
  needs: string[];
  /** Runs only when that asking step is answered with one of these. */
  only?: { step: string; choices: string[] };
  teach?: Teach;
  state: StepState;
  plan?: StepPlan;
  /** The plan with which it was last begun: what it left, should it have failed, is said there and in no later plan. */
  tried?: StepPlan;
  findings: Finding[];
  checks: Check[];
  safetyCopies: SafetyCopy[];
  progress?: CountedProgress;
  /** Milliseconds since 1970. */
  startedAt?: number;
  finishedAt?: number;
  /** Why it failed, was blocked or was skipped. */
  reason?: string;
  /** What a person has answered that was no answer, and why. */
  refused?: { answer: string; why: string };
  canUndo: boolean;
  /** What an undo would do, as it was last looked at. */
  undoPlan?: UndoPlan & { copies: CopyNow[] };
  /** Its last attempt was undone: what was there before is back. */
  undone: boolean;
  /** An undo has failed: it may be half done. */
  undoFailed: boolean;
  /** The asking step was answered otherwise: it is no part of this run. */
  notChosen: boolean;
  logFile: string;
}

export interface LogLine {
  at: number;
  step: string;
  text: string;
}

/** What subscribers see of a run at one moment. Never changed once published. */
export interface RunSnapshot {
  run: string;
  folder: string;
  mode: Mode;
  /** `undo`: nothing is done but to put back what an earlier process has replaced. */
  purpose: 'go on' | 'undo';
  scenario: string;
  title: string;
  outcomeText: string;
  cluster: string;
  production: boolean;
  backup: { id: string; takenAt: Date | null; kind: 'manifest' | 'loose'; unproven: string[] } | null;
  /** `preflight`: looking; `planned`: waiting for `begin` or `undo`; `beginning`: locking the cluster; `running`; `finished`. */
  phase: 'preflight' | 'planned' | 'beginning' | 'running' | 'finished';
  steps: StepSnapshot[];
  /** Steps that wait for a person, first come first. */
  attention: string[];
  /** How many of those that waited together with them wait no longer: the first is question `answered + 1`. */
  answered: number;
  /** The newest lines only; every line is in the steps' log files. */
  log: LogLine[];
  startedAt: number;
  finishedAt?: number;
  /** How long it is expected to be at work. */
  expected: Expected;
  outcome?: RunOutcome;
  /** Something was begun since this process has taken the run up: until then nothing was changed by it. */
  begun: boolean;
  rpoMs: number | null;
  /** Ids of the steps that are undone, or were to be, in their order, after which the run ends; and since when. */
  undoing?: { steps: string[]; since: number };
  /** What kept an undo from being begun; empty when nothing did. */
  halted: string;
  /** Empty until the run is over. */
  standing: Standing[];
  /** The runbooks that answer what is damaged and was left alone by this one; empty until the run is over. */
  next: Suspicion[];
  /** Why the record of this run could not be kept any further; empty while it can. */
  lost: string;
  /** Which cluster this is, in words; empty until it was asked. */
  identity: string;
  /** Why it may not begin before somebody has accepted it. */
  guards: Guard[];
  /** Who works on the cluster already: the run cannot begin. */
  held?: HeldLock;
  aborting: boolean;
}

/** What a person, or a script for them, wants. */
export type Intent =
  /** `takeOver`: also past the lock of somebody who has not been heard of for a while. */
  | { type: 'begin'; takeOver?: boolean }
  /** Look at every step again, before anything has begun. */
  | { type: 'look' }
  /** `by`: who or what typed it, when it was not the operator at this screen. */
  | { type: 'confirm'; step: string; typed: string; by?: string }
  /** To what an asking step asks. */
  | { type: 'answer'; step: string; answer: string }
  | { type: 'retry'; step: string }
  | { type: 'skip'; step: string }
  /** Find out what an undo of each step would do. */
  | { type: 'plan-undo' }
  /** Put back what these steps have replaced, and what builds on them before. `typed`: the cluster's name. */
  | { type: 'undo'; steps: string[]; typed: string; by?: string }
  /** It is meant so. */
  | { type: 'accept'; difference: Difference }
  | { type: 'abort' }
  | { type: 'note'; text: string };

/** What screens need of a run: a recorded one that is replayed has it, too. */
export interface ShownRun {
  subscribe(onChange: () => void): () => void;
  getSnapshot(): RunSnapshot;
  intend(intent: Intent): void;
}
