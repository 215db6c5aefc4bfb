import type { Profile } from '../config/profile.js';
import { within } from '../hosts/waiting.js';
import { gapIn } from '../stores/backup-set/backup-set.js';
import { type ListedSet, listBackupSets, setsIn } from '../stores/backup-set/find-backup-set.js';
import { messageOf } from '../words.js';
import { type ProofOnRecord, proofOf } from './proof.js';

/** How a cluster stands with its backups. Times are milliseconds. */
export interface ClusterStatus extends ProofOnRecord {
  cluster: string;
  production: boolean;
  /** The moment for which all of it is said. */
  at: Date;
  /** `proven`: a restore was proven, and no drill is due. The first that is true of the others, in this order. */
  state: 'never-proven' | 'no-backup' | 'last-drill-failed' | 'overdue' | 'proven';
  /** The newest backup set of this cluster with a manifest. Its age is the RPO of a disaster now. */
  backup: { id: string; folder: string; takenAt: Date; ageMs: number } | null;
  /** What lies below the backup roots, or should, and cannot be used. */
  unusable: { folder: string; problem: string }[];
  drillEveryDays: number;
  /** Null where nothing was ever proven: it is due now. */
  drillDueAt: Date | null;
  overdue: boolean;
}

const DAY_MS = 24 * 60 * 60 * 1000;
/** A folder that does not answer within this time is said to be one that cannot be read. */
const ROOT_PATIENCE_MS = 10_000;

/** Reads the record of runs on this machine and the backup roots; asks no server. */
export async function clusterStatus(profile: Profile): Promise<ClusterStatus> {
  const { name, production, backups, s3 } = profile;
  const { everyDays } = profile.drill;
  const at = new Date();
  const listed = (await Promise.all(backups.map((root) => listRoot(root, s3)))).flat();
  const proof = proofOf(name);
  const backup = newestOf(name, listed, at);
  const drillDueAt = proof.proven && new Date(proof.proven.at.getTime() + everyDays * DAY_MS);
  const overdue = !drillDueAt || drillDueAt <= at;
  return {
    cluster: name,
    production,
    at,
    state: !proof.proven
      ? 'never-proven'
      : !backup
        ? 'no-backup'
        : proof.failedDrill
          ? 'last-drill-failed'
          : overdue
            ? 'overdue'
            : 'proven',
    backup,
    unusable: listed.flatMap((one) =>
      'problem' in one
        ? [{ folder: one.folder, problem: one.next ? `${one.problem} Next: ${one.next}` : one.problem }]
        : [],
    ),
    drillEveryDays: everyDays,
    drillDueAt,
    overdue,
    ...proof,
  };
}

/** What lies below a root; a set of which a file is missing or of another size counts for none. */
const listRoot = (root: string, s3: Profile['s3']): Promise<ListedSet[]> =>
  within(
    ROOT_PATIENCE_MS,
    listBackupSets([root], s3).then((listed) => Promise.all(listed.map(withoutGap))),
  ).catch((error: unknown) => [
    { id: root, folder: root, problem: `this backup root cannot be read: ${messageOf(error)}` },
  ]);

async function withoutGap(listed: ListedSet): Promise<ListedSet> {
  const problem = 'set' in listed && listed.set.kind === 'manifest' ? await gapIn(listed.set) : '';
  return problem === '' ? listed : { id: listed.id, folder: listed.folder, problem };
}

function newestOf(cluster: string, listed: readonly ListedSet[], now: Date): ClusterStatus['backup'] {
  const newest = setsIn(listed, cluster).find(({ kind, takenAt }) => kind === 'manifest' && takenAt);
  if (!newest?.takenAt) return null;
  const { id, folder, takenAt } = newest;
  return { id, folder, takenAt, ageMs: now.getTime() - takenAt.getTime() };
}
