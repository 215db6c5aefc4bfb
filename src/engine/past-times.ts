import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { join } from 'node:path';
import { homeFolder } from '../config/home.js';
import type { PastTime, StepPlan, Work } from '../steps/step.js';
import { JOURNAL_FILE, type JournalEvent, readStart } from './journal.js';
import { listRuns } from './runs.js';

/** How long one step of a scenario took in one run. */
export interface StepTime extends PastTime {
  step: string;
  uses: string;
  cluster: string;
}

/** How many journals are looked into at most, how many that tell a time are enough, and how much is read of one and of all. */
const RUNS_LOOKED_AT = 1_000;
const RUNS_TELLING = 20;
const JOURNAL_BYTES = 4 * 1024 * 1024;
const ALL_BYTES = 32 * 1024 * 1024;

const TELLING = /"type":"(?:step\.(?:planned|started|progress|finished)|run\.resumed)"/;

/**
 * How long the steps of a scenario took in earlier runs, the newest run first. A journal that cannot be read, or only in part,
 * tells less; it never stands in the way.
 */
export function pastTimesOf(scenario: string): StepTime[] {
  const times: StepTime[] = [];
  let telling = 0;
  let bytes = 0;
  for (const run of runsOnRecord()) {
    const text = textOf(join(homeFolder(), 'runs', run, JOURNAL_FILE), scenario);
    const found = timesIn(text.split('\n').slice(0, -1));
    times.push(...found);
    telling += found.length > 0 ? 1 : 0;
    bytes += text.length;
    if (telling === RUNS_TELLING || bytes > ALL_BYTES) break;
  }
  return times;
}

function runsOnRecord(): string[] {
  try {
    return listRuns().slice(0, RUNS_LOOKED_AT);
  } catch {
    return [];
  }
}

/** What a journal holds; empty where it is of another scenario, or of a dry run, which takes no time. */
function textOf(file: string, scenario: string): string {
  let descriptor: number | undefined;
  try {
    const started = readStart(file);
    if (started?.scenario !== scenario || started.mode === 'dry-run') return '';
    descriptor = openSync(file, 'r');
    return read(descriptor, JOURNAL_BYTES);
  } catch {
    return '';
  } finally {
    if (descriptor !== undefined) closeSync(descriptor);
  }
}

function read(descriptor: number, most: number): string {
  const bytes = Buffer.alloc(Math.min(most, fstatSync(descriptor).size));
  return bytes.toString('utf8', 0, readSync(descriptor, bytes, 0, bytes.length, 0));
}

function eventIn(line: string): JournalEvent | undefined {
  try {
    return JSON.parse(line) as JournalEvent;
  } catch {
    return undefined;
  }
}

interface Attempt {
  plan?: StepPlan;
  moved?: Work;
  /** It is the first attempt at the whole of it, made by one process. */
  whole: boolean;
}

/** What the lines of a journal tell; nothing where they are none. */
function timesIn(lines: readonly string[]): StepTime[] {
  try {
    return timesOfAttempts(lines);
  } catch {
    return [];
  }
}

/** The steps that succeeded at their first attempt: a later one, or another process, may have found a part of it done. */
function timesOfAttempts(lines: readonly string[]): StepTime[] {
  const started = eventIn(lines[0] ?? '');
  if (started?.type !== 'run.started') return [];
  const { run, mode, profile, drillOf, ts: at } = started;
  const cluster = drillOf ?? profile;
  const kinds = new Map(started.steps.map(({ id, uses }) => [id, uses]));
  const attempts = new Map<string, Attempt>();
  const times: StepTime[] = [];
  for (const line of lines) {
    const event = TELLING.test(line) ? eventIn(line) : undefined;
    if (event?.type === 'run.resumed') attempts.clear();
    if (!event || !('step' in event)) continue;
    const { step } = event;
    const uses = kinds.get(step);
    const attempt = attempts.get(step) ?? { whole: false };
    attempts.set(step, attempt);
    if (event.type === 'step.planned') attempt.plan = event.plan;
    else if (event.type === 'step.started') attempt.whole = event.attempt === 1;
    else if (event.type === 'step.progress') attempt.moved = movedIn(event) ?? attempt.moved;
    else if (event.type === 'step.finished') {
      const work = attempt.plan?.work ?? attempt.moved;
      if (event.outcome === 'succeeded' && attempt.whole && uses !== undefined && Number.isFinite(event.tookMs))
        times.push({ step, uses, run, mode, cluster, at, tookMs: event.tookMs, ...(work ? { work } : {}) });
      attempt.whole = false;
    }
  }
  return times;
}

/** How much it moves, by what it told on its way; how many pieces of what kind is not said there. */
function movedIn({ done, total, unit }: Extract<JournalEvent, { type: 'step.progress' }>): Work | undefined {
  return unit === 'bytes' || unit === 'rows' ? { amount: total ?? done, unit } : undefined;
}
