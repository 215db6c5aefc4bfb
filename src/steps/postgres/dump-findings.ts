import type { BackupFile } from '../../stores/backup-set/backup-set.js';
import { lookAtDump, newestGoodDump, READ_WHILE_WAITING } from '../../stores/backup-set/good-dump.js';
import type { Installation } from '../../stores/postgres/tools.js';
import { instantOf } from '../../words.js';
import type { Finding, StepContext } from '../step.js';

/**
 * What is wrong with the dump of the backup set. A damaged one is found before the run begins, and the newest good one is
 * named; a large one is only read when its step comes, but then, too, before anything is dropped.
 */
export async function dumpFindings(dump: BackupFile, tools: Installation, ctx: StepContext): Promise<Finding[]> {
  const upTo = ctx.phase === 'preflight' ? READ_WHILE_WAITING : 0;
  const { fault, tooNew } = await lookAtDump(dump, tools, { upTo });
  if (fault === '') return [];
  return [{ level: 'blocking', message: fault, next: tooNew ? newerPrograms(ctx) : await pointToGoodDump(ctx) }];
}

function newerPrograms({ backup }: StepContext): string {
  const major = Number.parseInt(backup?.inventory?.postgres?.serverVersion ?? '', 10);
  const [title, name] = Number.isNaN(major)
    ? ['that PostgreSQL', 'postgresql-client-VERSION']
    : [`PostgreSQL ${major}`, `postgresql-client-${major}`];
  return `restore into a server of ${title} or newer, from a machine with its client programs (Debian: apt-get install ${name})`;
}

/** What to type instead of a backup set whose dump is damaged. */
export async function pointToGoodDump({ backup, cluster }: StepContext): Promise<string> {
  const { backups, s3 } = cluster.profile;
  const good = await newestGoodDump(backups, { folder: backup?.folder ?? '' }, s3).catch(() => undefined);
  if (!good) {
    return backups.length === 0
      ? 'the profile names no other backups: name a good one with --backup FOLDER'
      : 'no other good dump lies below the backup roots: name one with --backup FOLDER, or see novamem-runbook plan postgres-lost-no-backup';
  }
  const { set, whole } = good;
  const taken = set.takenAt ? `, taken ${instantOf(set.takenAt)}` : '';
  return `--backup ${set.id} is the newest good one${taken} (${whole ? 'its dump was read to its end' : 'its dump is large: it is read when its step comes'})`;
}
