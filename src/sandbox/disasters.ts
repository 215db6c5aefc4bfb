import { createHash } from 'node:crypto';
import { Problem } from '../problem.js';
import {
  backupOfAnotherCluster,
  newestDumpDamaged,
  postgresAndBackupsLost,
  storesADayApart,
  twoAtOnce,
  wholeClusterLost,
} from './disasters/backups.js';
import type { Disaster } from './disasters/disaster.js';
import { diskFull } from './disasters/disk-full.js';
import {
  falkordbLost,
  graphDeadHealthGreen,
  putRestoresNothing,
  qdrantLost,
  rdbBesideAof,
} from './disasters/other-stores.js';
import { pagesDamaged, rowsDeleted, sessionHoldsLock, walArchiveNotMounted } from './disasters/postgres.js';

/** Everything that a sandbox can do to itself: first what the handbook names, then what is harder. */
export const DISASTERS: readonly Disaster[] = [
  wholeClusterLost,
  pagesDamaged,
  postgresAndBackupsLost,
  rowsDeleted,
  qdrantLost,
  falkordbLost,
  newestDumpDamaged,
  putRestoresNothing,
  rdbBesideAof,
  backupOfAnotherCluster,
  sessionHoldsLock,
  walArchiveNotMounted,
  graphDeadHealthGreen,
  twoAtOnce,
  diskFull,
  storesADayApart,
];

export function findDisaster(id: string): Disaster {
  const found = DISASTERS.find((one) => one.id === id);
  if (found) return found;
  throw new Problem(`There is no disaster "${id}".`, { next: 'novamem-runbook sandbox break --list' });
}

/** Why a disaster cannot happen here; undefined where it can. */
export const whyNotHere = (id: unknown): string | undefined => DISASTERS.find((one) => one.id === id)?.impossible?.();

/** The same for the same seed on every machine; where that one cannot happen, the next that can. */
export function disasterBySeed(seed: string): Disaster {
  const first = createHash('sha256').update(seed).digest().readUInt32BE() % DISASTERS.length;
  const inTurn = [...DISASTERS.slice(first), ...DISASTERS.slice(0, first)];
  return inTurn.find((one) => one.impossible?.() === undefined)!;
}
