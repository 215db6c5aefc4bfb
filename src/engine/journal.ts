import { createHash } from 'node:crypto';
import { closeSync, existsSync, fsyncSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { redactDeep } from '../config/redact.js';
import type { Finding, StepPlan } from '../steps/step.js';
import type { Check } from '../stores/check.js';
import type { Fingerprint } from '../stores/fingerprint.js';
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
      operator: string;
      versions: Record<string, string>;
      steps: {
        id: string;
        uses: string;
        needs: string[];
        only?: { step: string; choices: string[] };
        params: unknown;
      }[];
    }
  | { type: 'step.planned'; step: string; plan: StepPlan }
  | { type: 'step.finding'; step: string; finding: Finding }
  | { type: 'confirm.asked'; step: string; destroys: string[]; question?: string }
  | { type: 'confirm.given'; step: string; who: string; typed: string }
  | { type: 'step.started'; step: string; attempt: number }
  | { type: 'step.progress'; step: string; done: number; total?: number; unit: string; text: string }
  | { type: 'step.facts'; step: string; facts: unknown }
  | { type: 'step.change'; step: string; channel: string; text: string }
  | { type: 'step.safety-copy'; step: string; of: string; at: string; verified: string }
  | { type: 'step.check'; step: string; check: Check }
  | { type: 'step.finished'; step: string; outcome: StepOutcome; tookMs: number; reason?: string }
  | { type: 'note'; text: string; who: string }
  | { type: 'run.finished'; outcome: RunOutcome; standing: Standing[]; rtoMs: number; rpoMs: number | null };

/** One line of a journal. */
export type JournalEvent = { seq: number; ts: string; run: string } & Happening & { prev: string };

export const JOURNAL_FILE = 'journal.jsonl';
/** Beside a journal that was closed: the hash of its last line, which no further line binds. */
export const SEAL_FILE = 'journal.seal';
const FIRST = '0'.repeat(64);
/** What may be lost in a power cut: it says nothing about what was done. */
const UNFLUSHED: ReadonlySet<Happening['type']> = new Set(['step.progress']);

/** Fields whose values are words of this format: a secret that reads like one must not take it away. */
const WORDS: ReadonlySet<string> = new Set(['type', 'step', 'outcome', 'mode', 'unit', 'channel']);

const hashOf = (line: string) => createHash('sha256').update(line).digest('hex');

/** The record of one run: one event a line, each bound to the line before by its hash, on disk before anything acts on it. */
export class Journal {
  readonly file: string;
  #descriptor: number;
  #seq = 0;
  #prev = FIRST;

  /** Begins a journal in the run's folder; an existing one is never written over. */
  constructor(
    readonly run: string,
    folder: string,
  ) {
    this.file = join(folder, JOURNAL_FILE);
    this.#descriptor = openSync(this.file, 'ax', 0o600);
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
    const line = JSON.stringify(event);
    writeWhole(this.#descriptor, `${line}\n`);
    if (!UNFLUSHED.has(happening.type)) fsyncSync(this.#descriptor);
    this.#seq += 1;
    this.#prev = hashOf(line);
    return event;
  }

  /** Ends the journal and seals it. Half a seal would say that the journal was changed: then there is none. */
  close(): void {
    closeSync(this.#descriptor);
    const seal = join(dirname(this.file), SEAL_FILE);
    try {
      writeFileSync(seal, `${this.#prev}\n`, { mode: 0o600 });
    } catch (error) {
      rmSync(seal, { force: true });
      throw error;
    }
  }
}

/** A journal as it was read back. `fault` says where it is not the journal that was written; empty when it is whole. */
export interface JournalReading {
  events: JournalEvent[];
  fault: string;
}

/** Reads a journal and checks its chain. A last line without an end (a crash while it was written) is left out and said. */
export function readJournal(file: string): JournalReading {
  const lines = readFileSync(file, 'utf8').split('\n');
  const rest = lines.pop();
  const events: JournalEvent[] = [];
  let prev = FIRST;
  let fault = '';
  for (const [index, line] of lines.entries()) {
    let event: JournalEvent;
    try {
      event = JSON.parse(line) as JournalEvent;
    } catch {
      fault ||= `line ${index + 1} is not JSON`;
      break;
    }
    if (event.prev !== prev || event.seq !== index + 1)
      fault ||= `line ${index + 1} does not follow the line before it: one was changed, added or taken out`;
    events.push(event);
    prev = hashOf(line);
  }
  if (rest !== '') fault ||= `the last line is cut off after ${rest?.length} characters`;
  const seal = join(dirname(file), SEAL_FILE);
  if (existsSync(seal) && readFileSync(seal, 'utf8').trim() !== prev)
    fault ||= 'its end is not the one that was sealed: the last line was changed, or lines were taken off or added';
  return { events, fault };
}
