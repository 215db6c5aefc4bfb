import type { S3Settings } from '../../config/s3.js';
import { exists } from '../../hosts/files.js';
import { inParallel } from '../../in-parallel.js';
import { Problem } from '../../problem.js';
import { under } from '../storage/storage.js';
import { storageOf } from '../storage/storage-of.js';
import type { BackupSet } from './backup-set.js';
import { openBackupSet } from './open-backup-set.js';

const DAY = 86_400_000;
/** How this program calls a set: by its instant. */
const INSTANT = /^\d{8}T\d{6}Z$/;

/** One entry of a listing: a set that can be opened, or why it cannot. */
export type ListedSet =
  | { id: string; folder: string; set: BackupSet }
  /** `next`: what to type about it, where that is more than to choose another set. */
  | { id: string; folder: string; problem: string; next?: string };

/**
 * Every backup set below the roots, newest first. Roots that cannot be read are listed with their problem. `s3`: the profile's
 * settings, for roots in buckets.
 */
export async function listBackupSets(roots: readonly string[], s3?: S3Settings): Promise<ListedSet[]> {
  const listed = await Promise.all(roots.map((root) => listRoot(root, s3)));
  return listed.flat().sort((a, b) => instantOf(b) - instantOf(a));
}

/** The listed sets that are the same one as this, elsewhere: their manifests are equal to the byte. */
export function copiesOf(one: ListedSet, listed: readonly ListedSet[]): ListedSet[] {
  const manifest = 'set' in one ? one.set.manifestSha256 : undefined;
  if (manifest === undefined) return [];
  return listed.filter(
    (other) => other.folder !== one.folder && 'set' in other && other.set.manifestSha256 === manifest,
  );
}

const instantOf = (listed: ListedSet) => ('set' in listed ? (listed.set.takenAt?.getTime() ?? 0) : 0);

/** So many sets of a bucket are opened at the same time. */
const AT_ONCE = 16;

async function listRoot(root: string, s3: S3Settings | undefined): Promise<ListedSet[]> {
  let names: string[];
  try {
    names = await storageOf(root, s3).foldersIn(root);
  } catch (error) {
    const problem = { problem: 'this backup root cannot be read, or does not exist' };
    const said = error instanceof Problem ? { problem: error.message, next: error.next } : problem;
    return [{ id: root, folder: root, ...said }];
  }
  const listed: ListedSet[] = [];
  await inParallel(
    names.filter((name) => !name.startsWith('.')),
    AT_ONCE,
    async (id) => {
      const folder = under(root, id);
      try {
        const set = await openBackupSet(folder, s3);
        listed.push({ id, folder, set });
      } catch (error) {
        listed.push({ id, folder, problem: error instanceof Problem ? error.message : String(error) });
      }
    },
  );
  return listed.sort((a, b) => (a.id < b.id ? -1 : 1));
}

/**
 * As findBackupSet, but `latest` and `yesterday` mean sets of that cluster, or of none that is named. `passedOver`: folders beside
 * it whose names say that they are newer, and that cannot be used, a sentence each.
 */
export async function findOwnSet(
  wanted: string,
  roots: readonly string[],
  cluster: string,
  s3?: S3Settings,
): Promise<{ set: BackupSet; passedOver: string[] }> {
  if (wanted !== 'latest' && wanted !== 'yesterday')
    return { set: await findBackupSet(wanted, roots, s3), passedOver: [] };
  const listed = await listBackupSets(roots, s3);
  const set = chosenOf(wanted, setsIn(listed, cluster));
  if (!set) throw noSuchSet(wanted, roots, listed);
  const passedOver = listed.flatMap((one) =>
    'problem' in one && INSTANT.test(one.id) && one.id > set.id
      ? [`a newer backup set was passed over: ${one.id}: ${one.problem}`]
      : [],
  );
  return { set, passedOver };
}

/**
 * The set behind `--backup`: a path, an id below the roots, `latest` (the newest that has a manifest, else the newest), or
 * `yesterday` (the newest of the UTC day before this one).
 */
export async function findBackupSet(wanted: string, roots: readonly string[], s3?: S3Settings): Promise<BackupSet> {
  const looksLikePath = wanted.includes('/') || wanted === '.' || wanted === '..';
  if (!['latest', 'yesterday'].includes(wanted) && (looksLikePath || (await exists(wanted))))
    return openBackupSet(wanted, s3);
  const listed = await listBackupSets(roots, s3);
  const found =
    wanted === 'latest' || wanted === 'yesterday'
      ? chosenOf(wanted, setsIn(listed))
      : setsIn(listed).find((set) => set.id === wanted);
  if (found) return found;
  throw noSuchSet(wanted, roots, listed);
}

/** The sets that can be opened, of any cluster, or of one and of none that is named; the newest first. */
export function setsIn(listed: readonly ListedSet[], cluster?: string): BackupSet[] {
  return [...listed]
    .sort((a, b) => instantOf(b) - instantOf(a))
    .flatMap((one) => ('set' in one ? [one.set] : []))
    .filter((set) => cluster === undefined || set.cluster === undefined || set.cluster === cluster);
}

function chosenOf(wanted: 'latest' | 'yesterday', sets: readonly BackupSet[]): BackupSet | undefined {
  if (wanted === 'latest') return sets.find((set) => set.kind === 'manifest') ?? sets[0];
  const yesterday = new Date(Date.now() - DAY).toISOString().slice(0, 10);
  return sets.find((set) => set.takenAt?.toISOString().startsWith(yesterday));
}

function noSuchSet(wanted: string, roots: readonly string[], listed: readonly ListedSet[]): Problem {
  const refused = listed.find((one) => one.id === wanted);
  if (refused && 'problem' in refused)
    return new Problem(`The backup set ${wanted} cannot be used: ${refused.problem}`, {
      next: 'name another with --backup: novamem-runbook backups list',
    });
  if (roots.length === 0)
    return new Problem(
      'The profile names no backup root (`backups: [ FOLDER ]`), so there is nothing to restore from.',
      { next: NAME_ONE },
    );
  const [unread] = listed.flatMap((one) => ('problem' in one && roots.includes(one.id) ? [one] : []));
  const seen = listed.filter((one) => !roots.includes(one.id)).map((one) => one.id);
  return new Problem(
    [
      `There is no backup set ${wanted === 'latest' ? '' : `"${wanted}" `}below ${roots.join(', ')}${seen.length > 0 ? ` (seen: ${seen.join(', ')})` : ''}.`,
      ...(unread ? [`${unread.folder} could not be looked at: ${unread.problem}`] : []),
    ].join(' '),
    { next: unread?.next ?? NAME_ONE },
  );
}

const NAME_ONE = 'name one with --backup FOLDER, or see: novamem-runbook backups list';
