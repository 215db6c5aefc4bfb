import { createHash } from 'node:crypto';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { homeFolder } from '../../src/config/home.js';
import { JOURNAL_FILE, type JournalEvent, readJournal, SEAL_FILE } from '../../src/engine/journal.js';
import type { RunbookStep } from '../../src/runbook/runbook.js';
import { jsonLine } from '../../src/words.js';
import { type TinyRunOptions, tinyRun } from './tiny-run.js';

export type RecordedAs = Partial<TinyRunOptions> & {
  /** When its end is recorded to have been; all that came before it was as much earlier as it really was. */
  endedAt?: string;
  rtoMs?: number;
};

/** Runs steps to their end on record, below the home folder of now. Answers the run's folder. */
export async function recordRun(
  id: string,
  steps: RunbookStep[],
  { endedAt, rtoMs, ...how }: RecordedAs = {},
): Promise<string> {
  const runs = join(homeFolder(), 'runs');
  mkdirSync(runs, { recursive: true });
  const tiny = tinyRun(steps, { id, onFailure: 'stop', ...how, runs });
  await tiny.toEnd();
  const shiftMs = endedAt === undefined ? 0 : Date.parse(endedAt) - Date.parse(tiny.events.at(-1)!.ts);
  retell(tiny.folder, (event) => ({
    ...event,
    ts: new Date(Date.parse(event.ts) + shiftMs).toISOString(),
    ...(event.type === 'run.finished' && rtoMs !== undefined ? { rtoMs } : {}),
  }));
  return tiny.folder;
}

/** Writes a journal anew as the engine would have written it had this happened instead: its chain and its seal are whole. */
function retell(folder: string, change: (event: JournalEvent) => JournalEvent): void {
  const file = join(folder, JOURNAL_FILE);
  let prev = '0'.repeat(64);
  const lines = readJournal(file).events.map((event) => {
    const line = jsonLine({ ...change(event), prev });
    prev = createHash('sha256').update(line).digest('hex');
    return line;
  });
  rmSync(file);
  writeFileSync(file, lines.map((line) => `${line}\n`).join(''));
  writeFileSync(join(folder, SEAL_FILE), `${prev}\n`);
}
