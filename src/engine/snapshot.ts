import type { Effect, Finding, ProgressUnit, StepPlan } from '../steps/step.js';
import type { Check } from '../stores/check.js';
import type { HeldLock } from './cluster-lock.js';
import type { Difference, Guard } from './guards.js';
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

export interface StepSnapshot {
  id: string;
  uses: string;
  why: string;
  effect: Effect;
  needs: string[];
  /** Runs only when that asking step is answered with one of these. */
  only?: { step: string; choices: string[] };
  state: StepState;
  plan?: StepPlan;
  findings: Finding[];
  checks: Check[];
  safetyCopies: { of: string; at: string; verified: string }[];
  progress?: { done: number; total?: number; unit: ProgressUnit; text: string };
  /** Milliseconds since 1970. */
  startedAt?: number;
  finishedAt?: number;
  /** Why it failed, was blocked or was skipped. */
  reason?: string;
  /** What a person has answered that was no answer, and why. */
  refused?: { answer: string; why: string };
  canUndo: boolean;
  /** Its last attempt was undone: what was there before is back. */
  undone: boolean;
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
  scenario: string;
  title: string;
  outcomeText: string;
  cluster: string;
  production: boolean;
  backup: { id: string; takenAt: Date | null; kind: 'manifest' | 'loose'; unproven: string[] } | null;
  /** `preflight`: looking; `planned`: waiting for `begin`; `beginning`: locking the cluster; `running`; `finished`. */
  phase: 'preflight' | 'planned' | 'beginning' | 'running' | 'finished';
  steps: StepSnapshot[];
  /** Steps that wait for a person, first come first. */
  attention: string[];
  /** The newest lines only; every line is in the steps' log files. */
  log: LogLine[];
  startedAt: number;
  finishedAt?: number;
  /** Sum over the longest path of estimates, milliseconds. */
  estimateMs: number;
  outcome?: RunOutcome;
  rpoMs: number | null;
  /** Empty until the run is over. */
  standing: Standing[];
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
  | { type: 'undo'; step: string }
  /** It is meant so. */
  | { type: 'accept'; difference: Difference }
  | { type: 'abort' }
  | { type: 'note'; text: string };
