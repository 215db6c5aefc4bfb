import { existsSync, mkdirSync, readdirSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { homeFolder } from '../config/home.js';
import { Problem } from '../problem.js';
import { messageOf } from '../words.js';
import { JOURNAL_FILE, type JournalReading, readJournal } from './journal.js';

/** One recorded run: its folder and its journal. */
export interface RecordedRun extends JournalReading {
  id: string;
  folder: string;
}

function runsFolder(): string {
  return join(homeFolder(), 'runs');
}

/** Ids of all recorded runs, newest first. */
export function listRuns(): string[] {
  let names: string[];
  try {
    names = readdirSync(runsFolder());
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw new Problem(`The recorded runs in ${runsFolder()} cannot be read: ${messageOf(error)}.`, {
      next: 'make that folder readable, or set NOVAMEM_RUNBOOK_HOME to the one that is meant',
    });
  }
  return names
    .filter((name) => existsSync(join(runsFolder(), name, JOURNAL_FILE)))
    .sort()
    .reverse();
}

/** The journal of a run that is listed. */
export const journalOf = (id: string): string => join(runsFolder(), id, JOURNAL_FILE);

/** A run by its id, by any part of the id that only one has, as a folder, or `latest`. */
export function findRun(wanted: string): RecordedRun {
  if (existsSync(join(wanted, JOURNAL_FILE)))
    return { id: basename(resolve(wanted)), folder: wanted, ...readJournal(join(wanted, JOURNAL_FILE)) };
  const all = listRuns();
  const found = wanted === 'latest' ? all.slice(0, 1) : all.filter((id) => id.includes(wanted));
  if (found.length === 1) {
    const folder = join(runsFolder(), found[0]!);
    return { id: found[0]!, folder, ...readJournal(join(folder, JOURNAL_FILE)) };
  }
  throw new Problem(
    found.length === 0
      ? `There is no run "${wanted}".`
      : `"${wanted}" fits ${found.length} runs: ${found.slice(0, 5).join(', ')}.`,
    { next: 'novamem-runbook runs list' },
  );
}

/** Makes the folder of a new run, for its owner only. */
export function makeRunFolder(runs: string, id: string): string {
  const folder = join(runs, id);
  mkdirSync(folder, { mode: 0o700 });
  return folder;
}
