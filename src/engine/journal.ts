import { createHash } from 'node:crypto';
import {
  closeSync,
  existsSync,
  fsyncSync,
  ftruncateSync,
  openSync,
  readFileSync,
  readSync,
  renameSync,
  rmSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { redactDeep } from '../config/redact.js';
import { keepPlaceNow } from '../hosts/durable.js';
import type { Effect, Finding, StepPlan } from '../steps/step.js';
import type { Check } from '../stores/check.js';
import type { Fingerprint } from '../stores/fingerprint.js';
import { jsonLine } from '../words.js';
import type { Suspicion } from './diagnosis.js';
import type { Difference } from './differences.js';
import type { Standing } from './standing.js';
import { writeWhole } from './write-whole.js';

/** What a run is for. It is marked with it for ever. */
export type Mode = 'live' | 'dry-run' | 'drill' | 'train';

/** How a step ended. Skipped is not done, simulated is not succeeded, unknown is not failed. */
export type StepOutcome = 'succeeded' | 'failed' | 'skipped' | 'simulated' | 'unknown' | 'undone';

/** How a run ended. A dry run is `simulated`: it recovered nothing. */
export type RunOutcome = 'recovered' | 'failed' | 'recovered-with-exceptions' | 'aborted' | 'simulated';

/** What happened, without the fields that every line has. Times are milliseconds. */
export type Happening =
  | {
      type: 'run.started';
      mode: Mode;
      scenario: string;
      title: string;
      profile: string;
      production: boolean;
      fingerprint: Fingerprint;
      runbook: string;
      backup: { id: string; folder: string; kind: 'manifest' | 'loose'; takenAt: string | null } | null;
      newBackup: string | null;
      /** The cluster whose backup a drill puts to the proof in a sandbox; null in every other run. */
      drillOf: string | null;
      /** The runbook's file, where it is none of the program's own. */
      runbookFile: string | null;
      operator: string;
      versions: Record<string, string>;
      steps: {
        id: string;
        uses: string;
        /** This and the effect are not in journals of before. */
        why?: string;
        effect?: Effect;
        needs: string[];
        only?: { step: string; choices: string[] };
        params: unknown;
      }[];
    }
  /** Another process goes on with a run. `cutOff`: bytes of a last line that was not written whole, and was taken off. */
  | {
      type: 'run.resumed';
      fingerprint: Fingerprint;
      operator: string;
      versions: Record<string, string>;
      cutOff: number;
      /** What differs from the beginning of the run, and was accepted. */
      accepted: string[];
    }
  /** This may be the wrong cluster or the wrong backup: nothing begins before that is accepted. */
  | { type: 'guard.raised'; difference: Difference; said: string }
  | { type: 'guard.accepted'; difference: Difference; who: string }
  /** The cluster's lock is held. `tookOver`: whose locks were put aside; `without`: where it could not be put. */
  | { type: 'run.locked'; files: string[]; without: string[]; tookOver: string[] }
  /** What an earlier process had left running is ended, thus. */
  | { type: 'run.leftover'; channel: string; text: string }
  | { type: 'step.planned'; step: string; plan: StepPlan }
  | { type: 'step.finding'; step: string; finding: Finding }
  | { type: 'confirm.asked'; step: string; destroys: string[]; question?: string }
  /** `undo`: it was typed for the step's undo. */
  | { type: 'confirm.given'; step: string; who: string; typed: string; undo?: true }
  | { type: 'step.started'; step: string; attempt: number }
  | { type: 'step.progress'; step: string; done: number; total?: number; unit: string; text: string }
  | { type: 'step.facts'; step: string; facts: unknown; adds?: true }
  | { type: 'step.change'; step: string; channel: string; text: string }
  | { type: 'step.safety-copy'; step: string; of: string; at: string; verified: string }
  /** What it has replaced is put back from here on: checks that follow are of that. */
  | { type: 'step.undoing'; step: string }
  | { type: 'step.check'; step: string; check: Check }
  | { type: 'step.finished'; step: string; outcome: StepOutcome; tookMs: number; reason?: string }
  | { type: 'note'; text: string; who: string }
  /** `next`: the runbooks that answer what is damaged and was left alone by this one. */
  | {
      type: 'run.finished';
      outcome: RunOutcome;
      standing: Standing[];
      next?: Suspicion[];
      rtoMs: number;
      rpoMs: number | null;
    };

/** One line of a journal. */
export type JournalEvent = { seq: number; ts: string; run: string } & Happening & { prev: string };

const BEGINNINGS: ReadonlySet<Happening['type']> = new Set([
  'step.started',
  'step.undoing',
  'step.change',
  'run.leftover',
]);

/** Whether this is where something begins that may change the cluster: before it, a run has only looked and asked. */
export const isBeginning = ({ type }: Pick<Happening, 'type'>): boolean => BEGINNINGS.has(type);

export const JOURNAL_FILE = 'journal.jsonl';
/** Beside a journal that was closed: the hash of its last line, which no further line binds. */
export const SEAL_FILE = 'journal.seal';
const FIRST = '0'.repeat(64);
/**
 * What reaches the disk with the next event that does not wait: it says what was seen, not what was done, and nothing acts on it before
 * a `step.started`, `step.change` or `step.finished` that follows it. A step may have thousands of checks.
 */
const UNFLUSHED: ReadonlySet<Happening['type']> = new Set([
  'step.planned',
  'step.finding',
  'step.progress',
  'step.check',
]);

/** Fields whose values are words of this format: a secret that reads like one must not take it away. */
const WORDS: ReadonlySet<string> = new Set(['type', 'step', 'outcome', 'mode', 'unit', 'channel']);

const hashOf = (line: string) => createHash('sha256').update(line).digest('hex');

/** The record of one run: one event a line, each bound to the line before by its hash, on disk before anything acts on it. */
export class Journal {
  readonly file: string;
  readonly #descriptor: number;
  #seq: number;
  #prev: string;

  private constructor(
    readonly run: string,
    file: string,
    descriptor: number,
    last: { seq: number; hash: string },
  ) {
    this.file = file;
    this.#descriptor = descriptor;
    this.#seq = last.seq;
    this.#prev = last.hash;
  }

  /** Begins a journal in the run's folder; an existing one is never written over. */
  static begin(run: string, folder: string): Journal {
    const file = join(folder, JOURNAL_FILE);
    const descriptor = openSync(file, 'ax', 0o600);
    keepPlaceNow(file);
    return new Journal(run, file, descriptor, { seq: 0, hash: FIRST });
  }

  /**
   * Goes on with a journal whose lines are whole up to `reading.wholeBytes`: what follows them was never acted upon, and is cut off.
   */
  static goOn(run: string, folder: string, { events, wholeBytes, lastHash }: JournalReading): Journal {
    const file = join(folder, JOURNAL_FILE);
    const descriptor = openSync(file, 'r+');
    ftruncateSync(descriptor, wholeBytes);
    closeSync(descriptor);
    // Gone for good before a further line is written: an old seal would say that the journal was changed.
    rmSync(join(folder, SEAL_FILE), { force: true });
    keepPlaceNow(file);
    return new Journal(run, file, openSync(file, 'a', 0o600), { seq: events.length, hash: lastHash });
  }

  /** Writes one event, redacted; answers it as it stands in the file. */
  append(happening: Happening): JournalEvent {
    const event = {
      seq: this.#seq + 1,
      ts: new Date().toISOString(),
      run: this.run,
      ...Object.fromEntries(
        Object.entries(happening).map(([field, value]) => [field, WORDS.has(field) ? value : redactDeep(value)]),
      ),
      prev: this.#prev,
    } as JournalEvent;
    const line = jsonLine(event);
    writeWhole(this.#descriptor, `${line}\n`);
    if (!UNFLUSHED.has(happening.type)) fsyncSync(this.#descriptor);
    this.#seq += 1;
    this.#prev = hashOf(line);
    return event;
  }

  /** Ends the journal and seals it. Half a seal would say that the journal was changed: it is whole, or there is none. */
  close(): void {
    closeSync(this.#descriptor);
    const seal = join(dirname(this.file), SEAL_FILE);
    const fresh = `${seal}.new`;
    try {
      const descriptor = openSync(fresh, 'w', 0o600);
      try {
        writeWhole(descriptor, `${this.#prev}\n`);
        fsyncSync(descriptor);
      } finally {
        closeSync(descriptor);
      }
      renameSync(fresh, seal);
      keepPlaceNow(seal);
    } catch (error) {
      rmSync(fresh, { force: true });
      throw error;
    }
  }
}

/** How a run ended; undefined while it has not, or was resumed since. */
export function endOf(events: readonly JournalEvent[]): (JournalEvent & { type: 'run.finished' }) | undefined {
  const last = events.findLast((event) => event.type === 'run.finished' || event.type === 'run.resumed');
  return last?.type === 'run.finished' ? last : undefined;
}

/** A journal as it was read back. `fault` says where it is not the journal that was written; empty when it is whole. */
export interface JournalReading {
  events: JournalEvent[];
  fault: string;
  /** As `fault`, but for a last line that is cut off: that is no change, but the end of a process. */
  changed: string;
  /** Bytes of a last line without an end: the process that wrote it was ended meanwhile. 0 where there is none. */
  cutOff: number;
  /** Bytes of all whole lines, and the hash of the last of them. */
  wholeBytes: number;
  lastHash: string;
}

/** So long may the line be with which a journal begins. */
const LONGEST_BEGINNING = 1024 * 1024;

/** The line with which a journal begins, without reading the rest; undefined while nothing is written. Throws where it is damaged. */
export function readStart(file: string): (JournalEvent & { type: 'run.started' }) | undefined {
  const descriptor = openSync(file, 'r');
  try {
    const bytes = Buffer.allocUnsafe(LONGEST_BEGINNING);
    const text = bytes.toString('utf8', 0, readSync(descriptor, bytes, 0, bytes.length, 0));
    if (text === '') return undefined;
    const event = JSON.parse(text.split('\n', 1)[0]!) as JournalEvent | null;
    if (event?.type !== 'run.started') throw new Error('it does not begin with the start of a run');
    return event;
  } finally {
    closeSync(descriptor);
  }
}

/** Reads a journal and checks its chain. A last line without an end (a crash while it was written) is left out and said. */
export function readJournal(file: string): JournalReading {
  const bytes = readFileSync(file);
  const wholeBytes = bytes.lastIndexOf('\n') + 1;
  const cutOff = bytes.length - wholeBytes;
  const lines = bytes.subarray(0, wholeBytes).toString('utf8').split('\n').slice(0, -1);
  const events: JournalEvent[] = [];
  let prev = FIRST;
  let changed = '';
  for (const [index, line] of lines.entries()) {
    let event: JournalEvent;
    try {
      event = JSON.parse(line) as JournalEvent;
    } catch {
      changed ||= `line ${index + 1} is not JSON`;
      break;
    }
    if (event.prev !== prev || event.seq !== index + 1)
      changed ||= `line ${index + 1} does not follow the line before it: one was changed, added or taken out`;
    events.push(event);
    prev = hashOf(line);
  }
  const seal = join(dirname(file), SEAL_FILE);
  if (cutOff === 0 && existsSync(seal) && readFileSync(seal, 'utf8').trim() !== prev)
    changed ||= 'its end is not the one that was sealed: the last line was changed, or lines were taken off or added';
  const fault = changed || (cutOff > 0 ? `the last line is cut off after ${cutOff} bytes` : '');
  return { events, fault, changed, cutOff, wholeBytes, lastHash: prev };
}
