import { join } from 'node:path';
import { seenIn } from '../../hosts/elsewhere/seen-in.js';
import { type Check, equal } from '../../stores/check.js';
import type { Postgres } from '../../stores/postgres/connection.js';
import { countMemories, describeServer, estimatedRows } from '../../stores/postgres/server.js';
import { countOf, instantOf, plural } from '../../words.js';
import type { StepContext, UndoPlan } from '../step.js';
import { databaseNamed } from './changing-places.js';
import { isHeld } from './data-places.js';
import type { RecoveryFacts } from './recovery.js';
import { logChecks } from './recovery-evidence.js';
import { type RestoreFacts, rowChecks } from './restoring.js';
import { filesOf } from './server-files.js';

// What an undo would do to Postgres, and the proof that it did.

/** What is in the database now, and how much of it is younger than an instant. */
async function standingNow(postgres: Postgres, since: Date): Promise<string[]> {
  if (!(await describeServer(postgres)).databaseExists) return [];
  const found = await countMemories(postgres, since);
  if (found)
    return [
      `${plural(found.memories, 'memory', 'memories')}, ${countOf(found.newer)} of them written since ${instantOf(since)}`,
    ];
  const tables = (await estimatedRows(postgres)).length;
  return tables === 0 ? [] : [`${plural(tables, 'table')} of ${postgres.address}`];
}

const keptBeside = ({ database }: Postgres) => `as a database ${database}_undone_…, until you drop it`;

export async function planRestoreUndo(
  { cluster: { postgres } }: StepContext,
  facts: Partial<RestoreFacts>,
  since: Date,
): Promise<UndoPlan> {
  const { keptAs, safetyDump, waived, before } = facts;
  const replaces = () => standingNow(postgres, since);
  const keeps = keptBeside(postgres);
  if (keptAs)
    return {
      putsBack: `database ${postgres.database} of before, kept as ${keptAs}`,
      replaces: await replaces(),
      keeps,
    };
  if (safetyDump)
    return {
      putsBack: `database ${postgres.database} of before, from its safety copy`,
      replaces: await replaces(),
      keeps,
    };
  if (waived !== undefined) return { putsBack: `NOTHING: its safety copy was waived, since ${waived}`, replaces: [] };
  if (before === 'populated' || before === undefined) return { putsBack: '', replaces: [] };
  return {
    putsBack: before === 'absent' ? `no database ${postgres.database}, as before` : 'an empty database, as before',
    replaces: await replaces(),
    keeps,
  };
}

export async function restoreUndoChecks(
  { cluster: { postgres } }: StepContext,
  { keptAs, safetyDump, putBack, before }: Partial<RestoreFacts>,
): Promise<Check[]> {
  if (keptAs) return isBackChecks(postgres, keptAs);
  if (safetyDump && putBack) return rowChecks(postgres, putBack);
  if (before === 'absent') return [await thereCheck(postgres, false)];
  if (before === 'empty')
    return [equal(`database ${postgres.database}`, 'tables in it', 0, (await estimatedRows(postgres)).length)];
  return [];
}

export async function planEmptyUndo(
  { cluster: { postgres } }: StepContext,
  { existed, keptAs }: { existed?: boolean; keptAs?: string },
  since: Date,
): Promise<UndoPlan> {
  if (existed && keptAs === undefined) return { putsBack: '', replaces: [] };
  return {
    putsBack: keptAs
      ? `database ${postgres.database} of before, kept as ${keptAs}`
      : `no database ${postgres.database}, as before`,
    replaces: await standingNow(postgres, since),
    keeps: keptBeside(postgres),
  };
}

export async function emptyUndoChecks(
  { cluster: { postgres } }: StepContext,
  { existed, keptAs }: { existed?: boolean; keptAs?: string },
): Promise<Check[]> {
  if (keptAs) return isBackChecks(postgres, keptAs);
  return existed === false ? [await thereCheck(postgres, false)] : [];
}

async function isBackChecks(postgres: Postgres, keptAs: string): Promise<Check[]> {
  return [
    await thereCheck(postgres, true),
    equal(`database ${keptAs}`, 'has its own name again', true, !(await databaseNamed(postgres, keptAs))),
  ];
}

const thereCheck = async (postgres: Postgres, expected: boolean) =>
  equal(`database ${postgres.database}`, 'is there', expected, await databaseNamed(postgres, postgres.database));

export async function planRecoveryUndo(
  { cluster: { postgres } }: StepContext,
  { aside, hadData, swapped, swapping }: Partial<RecoveryFacts>,
  since: Date,
): Promise<UndoPlan> {
  if (aside === undefined || !(swapping || swapped)) return { putsBack: '', replaces: [] };
  return {
    putsBack: hadData === false ? 'no data directory, as before' : `the data directory of before, from ${aside}`,
    replaces: swapped ? await standingNow(postgres, since) : [],
    keeps: `as ${aside}-undone…, until you remove it`,
  };
}

export async function recoveryUndoChecks(
  ctx: StepContext,
  { dataDir, aside, hadData, wasRunning, log }: Partial<RecoveryFacts>,
): Promise<Check[]> {
  if (dataDir === undefined || aside === undefined) return [];
  const { cluster } = ctx;
  // What was stopped before is stopped again, and in Kubernetes its files are seen by nobody then.
  const files = filesOf(ctx);
  const there = async (path: string, expected: string, look: () => Promise<boolean>) => {
    const found = await seenIn(look);
    return found === undefined ? [] : [equal(`data directory ${path}`, 'is there', expected, found ? 'yes' : 'no')];
  };
  const answers = async () => ((await cluster.answering('postgres')).answers ? 'yes' : 'no');
  return [
    ...(await there(dataDir, hadData === false ? 'no' : 'yes', () => files.exists(join(dataDir, 'PG_VERSION')))),
    ...(await there(aside, 'no', () => isHeld(aside, files))),
    ...((await seenIn(() => logChecks(ctx, dataDir, log?.before))) ?? []),
    ...(wasRunning && hadData !== false ? [equal('service postgres', 'answers', 'yes', await answers())] : []),
  ];
}
