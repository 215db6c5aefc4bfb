import { basename } from 'node:path';
import { isHere } from '../../hosts/here.js';
import type { HostFiles } from '../../hosts/host-files.js';
import { countOf, messageOf, plural } from '../../words.js';
import type { Cluster } from '../cluster.js';
import type { FalkorDB } from '../falkordb/connection.js';
import type { FalkordbInventory } from '../falkordb/inventory.js';
import { filesFaults, formOf, loadedFiles, persistenceFilesIn } from '../falkordb/persistence.js';
import { isFarBelow, type Looking } from './looking.js';
import { lookAtRoom } from './room.js';

/** What is wrong with FalkorDB: the graph is missing, or has far fewer nodes and relationships than at the last backup. */
export async function lookAtFalkordb(
  looking: Looking,
  cluster: Cluster,
  expected: FalkordbInventory | undefined,
): Promise<void> {
  const { falkordb } = cluster;
  const { graph } = falkordb;
  const { dataDir, url } = cluster.profile.falkordb;
  const { hostname } = new URL(url);
  const host = cluster.host('falkordb');
  if (host.here) await lookAtRoom(looking, 'FalkorDB', hostname, [dataDir]);
  try {
    looking.now('its state');
    const state = await falkordb.info('persistence');
    if (state.loading === '1') {
      looking.ail('unwell', 'FalkorDB is still loading its data');
      return;
    }
    for (const field of ['rdb_last_bgsave_status', 'aof_last_write_status'])
      if (state[field] === 'err') looking.ail('unwell', `FalkorDB could not write to its disk (${field}: err)`);
    looking.now('its graphs');
    const graphs = await falkordb.graphs();
    if (!graphs.includes(graph)) {
      looking.ail('missing', `FalkorDB: there is no graph "${graph}"`);
      return;
    }
    await countGraph(looking, falkordb, expected?.graphs[graph]);
  } catch (error) {
    const text = messageOf(error);
    if (/unknown command/i.test(text)) looking.ail('missing', `FalkorDB: its graph module is not loaded (${text})`);
    else {
      const ailment = looking.fail(error, 'FalkorDB: ');
      if (dataDir === undefined || (host.here && !isHere(hostname))) return;
      // A host that cannot be reached says nothing of what lies there.
      const isThere = await host.files.exists(dataDir).catch(() => undefined);
      if (isThere === false) looking.ail('missing', `FalkorDB: there is no data folder at ${dataDir}`);
      else if (isThere && ailment === 'stopped') await lookAtFiles(looking, dataDir, host.files);
    }
  }
}

/** Larger files are not read here: the plan of a recovery reads them. */
const LARGEST_READ = 64 * 1024 * 1024;

/** Of a server that is down: whether its files hold anything, and whether they are whole. */
async function lookAtFiles(looking: Looking, dataDir: string, there: HostFiles): Promise<void> {
  looking.now('its files');
  const found = await persistenceFilesIn(dataDir, there);
  if (found.length === 0) looking.ail('missing', `FalkorDB: ${dataDir} holds nothing of it`);
  for (const path of found) {
    const files = await formOf(path, there);
    const loaded = await loadedFiles(files, there);
    const sizes = await Promise.all(loaded.map(async (file) => (await there.stat(file))?.bytes ?? 0));
    if (sizes.reduce((sum, size) => sum + size, 0) > LARGEST_READ) continue;
    const [fault] = (await filesFaults(files, there)).faults;
    if (fault) looking.ail('unwell', `FalkorDB: its ${basename(path)} is damaged: ${fault}`);
  }
}

async function countGraph(
  looking: Looking,
  falkordb: FalkorDB,
  expected: FalkordbInventory['graphs'][string] | undefined,
): Promise<void> {
  const { graph } = falkordb;
  looking.now(`counting the graph ${graph}`);
  const [[nodes] = [0]] = await falkordb.query(graph, 'MATCH (m) RETURN count(m)');
  const found = new Map<string, number>();
  for (const [type, kind, count] of await falkordb.query(graph, 'MATCH ()-[r]->() RETURN type(r), r.kind, count(r)'))
    found.set(`${type} ${kind ?? '(no kind)'}`, Number(count));
  const relationships = [...found.values()].reduce((sum, count) => sum + count, 0);
  looking.counted({ nodes: Number(nodes), relationships });
  const before = Object.values(expected?.nodes ?? {}).reduce((sum, one) => sum + one.count, 0);
  if (isFarBelow(Number(nodes), before))
    looking.ail('fewer', `FalkorDB: ${plural(Number(nodes), 'node')}; the last backup had ${countOf(before)}`);
  for (const [kind, { count }] of Object.entries(expected?.relationships ?? {}))
    if (isFarBelow(found.get(kind) ?? 0, count))
      looking.ail(
        'fewer',
        `FalkorDB: ${countOf(found.get(kind) ?? 0)} ${kind} relationships; the last backup had ${countOf(count)}`,
      );
  looking.isWell(`FalkorDB holds ${plural(Number(nodes), 'node')} and ${plural(relationships, 'relationship')}`);
}
