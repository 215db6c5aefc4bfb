import type { Cluster } from './cluster.js';
import { listCollections } from './qdrant/inventory.js';

const SAMPLES = 20;

/**
 * Sampled vectors and nodes whose memory is not in Postgres, a sentence for each collection and the graph. Some are
 * expected when the backups are of different moments; all of them means that the backups are of different clusters.
 */
export async function sampledStrangers({ postgres, qdrant, falkordb }: Cluster): Promise<string[]> {
  const [table] = await postgres.read<{ there: boolean }>(
    "SELECT to_regclass('memory_entries') IS NOT NULL AS there",
  );
  if (!table?.there) return [];
  const sentences: string[] = [];
  const look = async (subject: string, ids: string[]) => {
    const rows = await postgres.read<{ id: string }>('SELECT id FROM memory_entries WHERE id::text = ANY($1)', [ids]);
    if (rows.length < ids.length)
      sentences.push(`${subject}: ${ids.length - rows.length} of ${ids.length} sampled memories are not in Postgres`);
  };
  for (const name of await listCollections(qdrant)) {
    const { points } = await qdrant.client.scroll(name, {
      limit: SAMPLES,
      with_payload: ['entryId'],
      with_vector: false,
    });
    const ids = points.map((point) => point.payload?.entryId).filter((id) => typeof id === 'string');
    await look(`qdrant collection ${name}`, ids);
  }
  if (!(await falkordb.graphs()).includes(falkordb.graph)) return sentences;
  const nodes = await falkordb.query(falkordb.graph, `MATCH (m:Memory) RETURN m.id LIMIT ${SAMPLES}`);
  await look(
    `falkordb graph ${falkordb.graph}`,
    nodes.map(([id]) => String(id)),
  );
  return sentences;
}
