import { waitFor } from '../../hosts/waiting.js';
import { type Check, equal } from '../../stores/check.js';
import type { Cluster } from '../../stores/cluster.js';
import { deepHealth } from '../../stores/novamem/deep-health.js';
import { describeMemories, expectedCollections, scopesOf } from '../../stores/novamem/memories.js';
import { takeVectorCensus, type VectorCensus } from '../../stores/novamem/vectors.js';
import { countOf } from '../../words.js';

const WRITTEN_MEANWHILE = 15_000;

/**
 * The evidence that every memory has its vector: nothing waits for one, no memory is without, and every collection holds as many as
 * Postgres says. People may write meanwhile, so what differs is looked at again.
 */
export async function vectorChecks(cluster: Cluster): Promise<Check[]> {
  let checks: Check[] = [];
  await waitFor(
    async () => {
      checks = await checksNow(cluster);
      return checks.every((check) => check.ok) || undefined;
    },
    { timeoutMs: WRITTEN_MEANWHILE, slowest: 2_000 },
  );
  return checks;
}

async function checksNow({ postgres, qdrant, novamem }: Cluster): Promise<Check[]> {
  const found = await describeMemories(postgres);
  const pending = novamem && (await deepHealth(novamem))?.pending;
  const census = await takeVectorCensus(postgres, qdrant);
  return [
    ...(found?.waiting === undefined ? [] : [equal('novamem memories', 'waiting for a vector', 0, found.waiting)]),
    ...(pending === undefined ? [] : [equal('novamem', 'pendingEmbeddings', 0, pending)]),
    withVector(census),
    ...collectionChecks(
      census,
      expectedCollections(await scopesOf(postgres), qdrant.prefix, Object.keys(census.collections)),
    ),
  ];
}

/** Where points do not name their memory, only their number can be compared. */
function withVector({ memories, missing, nameless, collections }: VectorCensus): Check {
  if (nameless > 0) {
    const points = Object.values(collections).reduce((sum, one) => sum + one.points, 0);
    return equal('qdrant', 'points of all collections', memories, points);
  }
  const few = missing.slice(0, 3).join(', ');
  return {
    subject: 'novamem memories',
    what: 'with a vector',
    expected: countOf(memories),
    actual: `${countOf(memories - missing.length)}${missing.length === 0 ? '' : ` (without: ${few}${missing.length > 3 ? ', …' : ''})`}`,
    ok: missing.length === 0,
  };
}

function collectionChecks(census: VectorCensus, expected: Record<string, number> | undefined): Check[] {
  return Object.entries(expected ?? {}).map(([name, count]) => {
    const found = census.collections[name];
    const points = census.nameless > 0 ? found?.points : found?.memories;
    const check = equal(`qdrant collection ${name}`, 'points, by the memories in Postgres', count, points);
    if (!check.ok || !found || found.strangers === 0) return check;
    return {
      ...check,
      actual: `${check.actual}, and ${countOf(found.strangers)} of memories that are not in Postgres`,
    };
  });
}
