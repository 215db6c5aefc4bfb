import { existsSync } from 'node:fs';
import { isHere } from '../../hosts/here.js';
import { inParallel } from '../../in-parallel.js';
import { countOf, plural } from '../../words.js';
import type { Cluster } from '../cluster.js';
import { qdrantMessage } from '../qdrant/connection.js';
import { collectionInfo, exactPoints, listCollections, type QdrantInventory } from '../qdrant/inventory.js';
import { servedWithoutFiles } from '../qdrant/on-disk.js';
import { isFarBelow, type Looking } from './looking.js';
import { lookAtRoom } from './room.js';

const AT_ONCE = 8;

/** What is wrong with Qdrant: collections that are missing, cannot be read or hold far fewer points than at the last backup. */
export async function lookAtQdrant(
  looking: Looking,
  cluster: Cluster,
  expected: QdrantInventory | undefined,
): Promise<void> {
  const { qdrant } = cluster;
  const dataDir = cluster.dataDirHere('qdrant');
  const { hostname } = new URL(cluster.profile.qdrant.url);
  await lookAtRoom(looking, 'Qdrant', hostname, [dataDir]);
  if (dataDir !== undefined && isHere(hostname) && !existsSync(dataDir))
    looking.ail('missing', `Qdrant: there is no data folder at ${dataDir}`);
  looking.now('its collections');
  const names = await listCollections(qdrant).catch((error: unknown) => {
    throw new Error(qdrantMessage(error), { cause: error });
  });
  const hollow = servedWithoutFiles(cluster, names);
  if (hollow.length > 0)
    looking.ail(
      'missing',
      `Qdrant: the files of ${hollow.length} of ${plural(names.length, 'collection')} are gone from ${dataDir} (${hollow.slice(0, 5).join(', ')}): it answers from memory and loses them when it ends`,
    );
  let points = 0;
  await inParallel(names, AT_ONCE, async (name) => {
    looking.now(`counting ${name}`);
    try {
      const { status } = await collectionInfo(qdrant, name);
      const count = await exactPoints(qdrant, name);
      points += count;
      if (status === 'red') looking.ail('unreadable', `Qdrant: collection ${name} has the status red`);
      const before = expected?.collections[name]?.points;
      if (before !== undefined && isFarBelow(count, before))
        looking.ail(
          'fewer',
          `Qdrant: collection ${name} has ${plural(count, 'point')}; the last backup had ${countOf(before)}`,
        );
    } catch (error) {
      looking.ail('unreadable', `Qdrant: collection ${name} cannot be read: ${qdrantMessage(error)}`);
    }
  });
  looking.counted({ points: points });
  const missing = Object.keys(expected?.collections ?? {}).filter((name) => !names.includes(name));
  if (missing.length > 0)
    looking.ail(
      'missing',
      `Qdrant: ${missing.length} of ${plural(Object.keys(expected!.collections).length, 'collection')} of the last backup missing: ${missing.slice(0, 5).join(', ')}`,
    );
  looking.isWell(`Qdrant holds ${plural(points, 'point')} in ${plural(names.length, 'collection')}`);
}
