import type { BackupSet } from '../../stores/backup-set/backup-set.js';
import {
  collectionNames,
  describeMemories,
  type Memories,
  type Scope,
  scopesOf,
} from '../../stores/novamem/memories.js';
import type { Qdrant } from '../../stores/qdrant/connection.js';
import { collectionConfig, listCollections, versionOf } from '../../stores/qdrant/inventory.js';
import { canLoad } from '../../stores/qdrant/server.js';
import { countOf, durationOf, plural, sizeOf } from '../../words.js';
import type { Finding, StepContext } from '../step.js';
import type { Snapshot } from './snapshots.js';

// What the preflight of `qdrant.restore` asks of a server that answers, and of Postgres.

const memoriesOf = (count: number) => plural(count, 'memory', 'memories');

/** An upload lies on the server's disk beside what is unpacked from it: measured 2.25 times the snapshot at the worst moment. */
export async function roomFindings(
  snapshots: readonly Snapshot[],
  atOnce: number,
  ctx: StepContext,
): Promise<Finding[]> {
  const { dataDir } = ctx.cluster.profile.qdrant;
  const sizes = snapshots.map((one) => one.bytes).sort((a, b) => b - a);
  const sum = (of: readonly number[]) => of.reduce((total, bytes) => total + bytes, 0);
  const needed = sum(sizes) + 1.25 * sum(sizes.slice(0, atOnce));
  const free = await ctx.cluster.freeBytesOf('qdrant');
  if (free === undefined)
    return [
      {
        level: 'info',
        message: `about ${sizeOf(needed)} must be free on Qdrant's disk for the restore; how much is free cannot be seen from here`,
        ...(dataDir === undefined
          ? { next: 'set qdrant.dataDir in the profile, and hosts.qdrant where that is not on this machine' }
          : {}),
      },
    ];
  if (free >= needed) return [];
  const slower = sum(sizes) + 1.25 * sum(sizes.slice(0, 1));
  return [
    {
      level: 'blocking',
      message: `${sizeOf(free)} are free in ${dataDir}, and the restore needs about ${sizeOf(needed)}: a disk that fills up half-way can destroy the collection`,
      next:
        free >= slower && atOnce > 1
          ? `free ${sizeOf(needed - free)}, or restore one collection after the other: --set <step>.atOnce=1`
          : `free ${sizeOf(needed - free)} there`,
    },
  ];
}

/** Qdrant does not look at the version of a snapshot, and promises to load only that of its own or the previous minor version. */
export async function versionFindings(qdrant: Qdrant, backup: BackupSet | undefined): Promise<Finding[]> {
  const then = backup?.inventory?.qdrant?.serverVersion;
  if (then === undefined) return [];
  const now = await versionOf(qdrant);
  if (canLoad(now, then) !== false) return [];
  return [
    {
      level: 'warning',
      message: `the snapshots are of Qdrant ${then}, and this is ${now}: Qdrant only promises to load those of its own or the previous minor version, and does not look`,
      next: `restore into Qdrant ${then.split('.').slice(0, 2).join('.')}, or compare closely what comes back`,
    },
  ];
}

/** Qdrant refuses a snapshot into a collection of other vector parameters; better known before the first upload. */
export async function configFindings(
  qdrant: Qdrant,
  snapshots: readonly Snapshot[],
  backup: BackupSet | undefined,
): Promise<Finding[]> {
  const there = new Set(await listCollections(qdrant));
  const other: string[] = [];
  for (const collection of new Set(snapshots.map((one) => one.collection))) {
    const expected = backup?.inventory?.qdrant?.collections[collection]?.config;
    if (expected === undefined || !there.has(collection)) continue;
    const now = await collectionConfig(qdrant, collection).catch(() => expected);
    if (now !== expected) other.push(collection);
  }
  if (other.length === 0) return [];
  return [
    {
      level: 'blocking',
      message: `${other.join(', ')}: other vector parameters or another number of shards than in the backup; Qdrant refuses a snapshot of others`,
      next: `if it is not needed any more, delete it: ${other.map((name) => `curl -fsS ${qdrant.curlArguments}-X DELETE '${qdrant.urlOf('collections', name)}'`).join('; ')}`,
    },
  ];
}

/**
 * A name that neither the backup's inventory nor the server nor Postgres knows: an upload would make a new collection of it,
 * and the one that was meant would stay missing. `typed`: a person gave the name, so that it can be given again.
 */
export async function nameFindings(
  snapshots: readonly Snapshot[],
  ctx: StepContext,
  typed: string | undefined,
): Promise<Finding[]> {
  const { qdrant, postgres } = ctx.cluster;
  const there = await listCollections(qdrant).catch((): string[] => []);
  const known = new Set([...there, ...Object.keys(ctx.backup?.inventory?.qdrant?.collections ?? {})]);
  const names = [...new Set(snapshots.map((one) => one.collection))];
  const unknown = names.filter((name) => !known.has(name));
  if (unknown.length === 0) return [];
  const scopes = await scopesOf(postgres).catch((): Scope[] => []);
  const named = scopes.map((scope) => collectionNames(scope, qdrant.prefix));
  const ofPostgres = new Set(named.flat());
  const strange = unknown.filter((name) => !ofPostgres.has(name));
  // Where no name at all is as expected, this novamem calls its collections otherwise, and nothing follows from a name.
  if (strange.length === 0 || ![...names, ...there].some((name) => ofPostgres.has(name))) return [];
  const wanting = named.filter((of) => !of.some((name) => names.includes(name) || there.includes(name)));
  const isTyped = strange.some((name) => name === typed);
  return [
    {
      level: isTyped ? 'blocking' : 'warning',
      message: `${strange.join(', ')}: no memory in Postgres belongs there; the upload would make a new collection`,
      next:
        wanting.length > 0
          ? `was one of these meant? ${wanting
              .slice(0, 5)
              .map(([name]) => name)
              .join(', ')}`
          : isTyped
            ? 'look at the name again: --set <step>.collection=NAME'
            : 'leave it out with --set <step>.collections, or go on if it is right',
    },
  ];
}

/** What the snapshots cannot hold: memories that were written or changed after them. */
export async function ageFindings({ backup, cluster }: StepContext): Promise<Finding[]> {
  if (!backup?.takenAt) return backup ? [{ level: 'info', message: 'nothing says how old these snapshots are' }] : [];
  const age = durationOf(Date.now() - backup.takenAt.getTime());
  const found = await describeMemories(cluster.postgres, backup.takenAt).catch(() => undefined);
  if (!found) return [{ level: 'info', message: `the snapshots are ${age} old` }];
  const { newer, changed } = found;
  if (newer + changed === 0)
    return [{ level: 'info', message: `the snapshots are ${age} old, and no memory in Postgres is newer` }];
  return [
    {
      level: 'warning',
      message: `the snapshots are ${age} old: ${youngerWords(found)} since: their vectors are not in them`,
    },
  ];
}

/** `12 memories were written and 3 embedded again` */
function youngerWords({ newer, changed }: Pick<Memories, 'newer' | 'changed'>): string {
  const written = `${memoriesOf(newer)} ${newer === 1 ? 'was' : 'were'} written`;
  if (changed === 0) return written;
  if (newer === 0) return `${memoriesOf(changed)} ${changed === 1 ? 'was' : 'were'} embedded again`;
  return `${written} and ${countOf(changed)} embedded again`;
}
