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

/** One of those that can happen here: the same for the same seed. */
export function disasterBySeed(seed: string): Disaster {
  const possible = DISASTERS.filter((one) => one.impossible?.() === undefined);
  const number = createHash('sha256').update(seed).digest().readUInt32BE();
  return possible[number % possible.length]!;
}
