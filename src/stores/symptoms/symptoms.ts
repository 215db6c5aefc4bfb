import { countOf, plural } from '../../words.js';
import { listBackupSets } from '../backup-set/find-backup-set.js';
import type { Inventory } from '../backup-set/manifest.js';
import type { Cluster } from '../cluster.js';
import { lookAtFalkordb } from './falkordb-symptoms.js';
import { type Counts, isFarBelow, Looking, type Symptom } from './looking.js';
import { lookAtNovamem } from './novamem-symptoms.js';
import { lookAtPostgres } from './postgres-symptoms.js';
import { lookAtQdrant } from './qdrant-symptoms.js';

const BACKUPS_PATIENCE_MS = 2_000;
const STORE_PATIENCE_MS = 7_000;

export interface Symptoms {
  symptoms: Symptom[];
  /** What is as it should be, a sentence each. */
  well: string[];
  counts: Counts;
  /** The newest backup set of this cluster that could be opened in time, whether any of them has a dump of Postgres, and a base backup. */
  backup: { id: string; takenAt: Date | null; postgres: boolean; base: boolean } | undefined;
  /** What among the backups is no help, a sentence each: newer sets of another cluster, and what cannot be opened. */
  passedOver: string[];
}

/** Looks at every part of a cluster side by side; reads only, and ends within ten seconds whatever hangs. */
export async function symptomsOf(cluster: Cluster): Promise<Symptoms> {
  const { backup, inventory, passedOver } = await newestBackup(cluster);
  const { postgres, novamem, profile } = cluster;
  const looks = await Promise.all([
    new Looking('postgres').within(STORE_PATIENCE_MS, (looking) =>
      lookAtPostgres(looking, postgres, cluster.host('postgres'), profile.postgres.dataDir, inventory?.postgres),
    ),
    new Looking('qdrant').within(STORE_PATIENCE_MS, (looking) => lookAtQdrant(looking, cluster, inventory?.qdrant)),
    new Looking('falkordb').within(STORE_PATIENCE_MS, (looking) =>
      lookAtFalkordb(looking, cluster, inventory?.falkordb),
    ),
    ...(novamem
      ? [new Looking('novamem').within(STORE_PATIENCE_MS, (looking) => lookAtNovamem(looking, novamem))]
      : []),
  ]);
  const counts: Counts = Object.assign({}, ...looks.map((look) => look.counts));
  return {
    symptoms: [...looks.flatMap((look) => look.symptoms), ...acrossStores(counts)],
    well: looks.flatMap((look) => look.well),
    counts,
    backup,
    passedOver,
  };
}

/** Every memory should have a vector (or wait for one) and a node; where there are those, there were memories. */
function acrossStores({ memories, pending = 0, points, nodes }: Counts): Symptom[] {
  if (memories === undefined) return [];
  const found: Symptom[] = [];
  const left = [...(points ? [plural(points, 'point')] : []), ...(nodes ? [plural(nodes, 'node')] : [])];
  if (memories === 0 && left.length > 0)
    found.push({
      service: 'postgres',
      ailment: 'fewer',
      seen: `Postgres: no memory at all, and the other stores still have ${left.join(' and ')} of memories`,
    });
  const due = memories - pending;
  if (points !== undefined && isFarBelow(points, due))
    found.push({
      service: 'qdrant',
      ailment: 'fewer',
      seen: `Qdrant: ${plural(points, 'point')} for ${countOf(due)} memories that should have one`,
    });
  if (nodes !== undefined && isFarBelow(nodes, memories))
    found.push({
      service: 'falkordb',
      ailment: 'fewer',
      seen: `FalkorDB: ${plural(nodes, 'node')} for ${countOf(memories)} memories`,
    });
  return found;
}

async function newestBackup({
  profile,
}: Cluster): Promise<Pick<Symptoms, 'backup' | 'passedOver'> & { inventory: Inventory | undefined }> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never[]>((resolve) => {
    timer = setTimeout(() => resolve([]), BACKUPS_PATIENCE_MS);
  });
  const listed = await Promise.race([listBackupSets(profile.backups, profile.s3).catch(() => []), late]);
  clearTimeout(timer);
  const all = listed.flatMap((one) => ('set' in one ? [one.set] : []));
  const own = all.filter(({ cluster }) => cluster === undefined || cluster === profile.name);
  const [newest] = own;
  return {
    backup: newest
      ? {
          id: newest.id,
          takenAt: newest.takenAt,
          postgres: own.some((set) => set.postgres !== undefined),
          base: own.some((set) => set.postgresBase !== undefined),
        }
      : undefined,
    inventory: own.find((set) => set.inventory)?.inventory,
    passedOver: [
      ...all
        .slice(0, newest ? all.indexOf(newest) : undefined)
        .map(({ id, cluster }) => `the newer backup set ${id} is of another cluster, "${cluster}"`),
      ...listed.flatMap((one) => ('problem' in one ? [`${one.folder}: ${one.problem}`] : [])),
    ],
  };
}
