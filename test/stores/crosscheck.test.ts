import { beforeAll, beforeEach, describe, expect, test } from 'vitest';
import {
  type Crosscheck,
  type CrosscheckOptions,
  crosscheck,
  DIFFERENCES,
  type Difference,
} from '../../src/stores/crosscheck/crosscheck.js';
import type { Postgres } from '../../src/stores/postgres/connection.js';
import { idsFrom, LONG_AGO, Memories } from '../support/memories.js';
import { type RealCluster, realCluster } from '../support/sandbox.js';

const NOTES = 'novamem_u_acme_notes';
const DAY = 86_400_000;

let real: RealCluster;
let memories: Memories;

beforeAll(async () => {
  real = await realCluster(10);
  memories = new Memories(real);
});

beforeEach(() => memories.clear());

/** A cross-check, and what it told of: the ids of each kind, sorted. `beforeMemories`: what happens before the memories are read, which is last. */
async function check(
  options: CrosscheckOptions = {},
  beforeMemories = async () => {},
): Promise<Crosscheck & { told: Record<string, (string | null)[]>; all: Difference[] }> {
  const all: Difference[] = [];
  const { postgres } = real.cluster;
  const reading: Postgres['reading'] = async (...args) => {
    await beforeMemories();
    return postgres.reading(...args);
  };
  const read = postgres.read.bind(postgres);
  const cluster = Object.create(real.cluster, {
    postgres: { value: Object.create(postgres, { reading: { value: reading }, read: { value: read } }) },
  });
  const found = await crosscheck(cluster, {
    ...options,
    async onDifference(difference) {
      all.push(difference);
      await options.onDifference?.(difference);
    },
  });
  const told = Object.fromEntries(
    DIFFERENCES.map((kind) => [kind, all.filter((one) => one.kind === kind).map((one) => one.memory)] as const)
      .filter(([, ids]) => ids.length > 0)
      .map(([kind, ids]) => [kind, ids.sort()]),
  );
  return { ...found, told, all };
}

describe('a cross-check', () => {
  test('finds nothing where every memory has its vector and its node', async () => {
    const ids = idsFrom(25);
    await memories.everywhere(ids.slice(0, 20));
    await memories.everywhere(ids.slice(20), NOTES);
    const found = await check();
    expect(found).toMatchObject({ memories: 25, vectors: 25, nodes: 25, withVector: 25, withNode: 25, told: {} });
    expect(found.collections).toEqual({ novamem_u_acme_default: 20, [NOTES]: 5 });
    expect(found.youngest.memories).toBe(LONG_AGO + 24 * 60_000);
  });

  test('finds what is missing and what is too many, in each store, by its id', async () => {
    const ids = idsFrom(40);
    await memories.everywhere(ids);
    await memories.forget(ids.slice(0, 3));
    await memories.deleteVectors(ids.slice(5, 9));
    await memories.deleteNodes(ids.slice(8, 10));
    const found = await check();
    expect(found.told).toEqual({
      'stray-vectors': ids.slice(0, 3),
      'stray-nodes': ids.slice(0, 3),
      'missing-vectors': ids.slice(5, 9),
      'missing-nodes': ids.slice(8, 10),
    });
    expect(found).toMatchObject({ memories: 37, vectors: 36, nodes: 38, withVector: 33, withNode: 35 });
  });

  test('finds a memory with several vectors, in one collection or in two, and with several nodes', async () => {
    const ids = idsFrom(6);
    await memories.everywhere(ids);
    await memories.vectors(ids.slice(0, 2), NOTES);
    await memories.vectors([ids[5]!], undefined, () => '00000000-0000-0000-0000-0000000000aa');
    await memories.nodes([ids[1]!, ids[1]!]);
    const found = await check();
    expect(found.told).toEqual({
      'double-vectors': [ids[0], ids[1], ids[5]],
      'double-nodes': [ids[1], ids[1]],
    });
  });

  test('takes a memory that waits to be embedded for pending, not for missing', async () => {
    const ids = idsFrom(10);
    await memories.everywhere(ids.slice(0, 5));
    await memories.rows(ids.slice(5), null);
    await memories.nodes(ids.slice(5));
    expect(await check()).toMatchObject({ pending: 5, told: {} });
  });

  test('takes every memory without a vector for missing where the table does not tell which were embedded', async () => {
    const ids = idsFrom(4);
    await memories.rows(ids, null);
    await memories.nodes(ids);
    await real.sql('ALTER TABLE memory_entries RENAME COLUMN embedded_at TO not_told');
    try {
      expect(await check()).toMatchObject({ pending: 0, told: { 'missing-vectors': ids } });
    } finally {
      await real.sql('ALTER TABLE memory_entries RENAME COLUMN not_told TO embedded_at');
    }
  });

  test('finds all of them over the borders of pages and batches', async () => {
    const ids = idsFrom(20_500, LONG_AGO, 10);
    const [forgotten, rest] = [ids.slice(0, 1_203), ids.slice(1_203)];
    await memories.rows(rest);
    await memories.vectors(ids.slice(0, 8_000), 'novamem_u_acme_pages');
    await memories.vectors(ids.slice(8_000, 12_001), 'novamem_u_acme_more');
    await memories.vectors(ids.slice(12_500), NOTES);
    await memories.nodes(ids.slice(0, 20_000));
    await memories.nodes(ids.slice(20_001));
    const found = await check();
    expect(found.told).toEqual({
      'stray-vectors': forgotten,
      'stray-nodes': forgotten,
      'missing-vectors': ids.slice(12_001, 12_500),
      'missing-nodes': [ids[20_000]],
    });
    expect(found).toMatchObject({ memories: 19_297, vectors: 20_001, nodes: 20_499 });
  });

  test('knows ids of every kind: with quotes, line ends and letters of all alphabets', async () => {
    const ids = ["it's", 'say "so"', 'back\\slash\\', 'two\nlines\r\n', 'emoji 🙂 漢字 é', 'a\u2028b', '`', '{}$1'];
    await memories.everywhere(ids);
    expect(await check()).toMatchObject({ memories: ids.length, told: {} });
    await memories.forget(ids.slice(0, 4));
    await memories.deleteVectors(ids.slice(4, 6));
    await memories.deleteNodes(ids.slice(6));
    const found = await check();
    expect(found.told).toEqual({
      'stray-vectors': ids.slice(0, 4).sort(),
      'stray-nodes': ids.slice(0, 4).sort(),
      'missing-vectors': ids.slice(4, 6).sort(),
      'missing-nodes': ids.slice(6).sort(),
    });
    expect(found.all.every((one) => one.at === undefined)).toBe(true);
  });

  test('F11: a graph that is absent is not made by looking for it', async () => {
    const ids = idsFrom(3);
    await memories.rows(ids);
    await memories.vectors(ids);
    expect(await check()).toMatchObject({ nodes: 0, told: { 'missing-nodes': ids } });
    expect(await real.cluster.falkordb.graphs()).toEqual([]);
  });

  test('looks at nodes of memories only', async () => {
    const ids = idsFrom(3);
    await memories.everywhere(ids);
    await memories.cypher("CREATE (:Visitor {id: 'late'}), (:Memory:Pinned {id: 'extra'})");
    expect(await check()).toMatchObject({ nodes: 4, told: { 'stray-nodes': ['extra'] } });
  });

  test('misses the vectors of a collection that is gone', async () => {
    const ids = idsFrom(12);
    await memories.everywhere(ids.slice(0, 5));
    await memories.everywhere(ids.slice(5), NOTES);
    await real.cluster.qdrant.client.deleteCollection(NOTES);
    // The youngest vector that is left tells how far the vectors reach: what is younger might never have had one.
    const { told, differences } = await check({ moments: { qdrant: Date.now() } });
    expect(told).toEqual({ 'missing-vectors': ids.slice(5) });
    expect(differences['missing-vectors']).toMatchObject({ unexplained: 7, younger: 0 });
  });

  test('leaves collections of others alone', async () => {
    const ids = idsFrom(3);
    await memories.everywhere(ids);
    await memories.vectors(idsFrom(5, LONG_AGO + DAY), 'somebody_elses');
    expect(await check()).toMatchObject({ vectors: 3, told: {} });
  });

  test('counts points and nodes that name no memory as strays without a name', async () => {
    const ids = idsFrom(3);
    await memories.everywhere(ids);
    await real.cluster.qdrant.client.upsert('novamem_u_acme_default', {
      wait: true,
      points: [
        { id: 1, vector: [1, 0, 0, 0], payload: {} },
        { id: 2, vector: [1, 0, 0, 0], payload: { entryId: 7 } },
      ],
    });
    await memories.cypher("CREATE (:Memory {user: 'acme'})");
    const { differences, told } = await check();
    expect(differences['stray-vectors']).toMatchObject({ unexplained: 2, nameless: 2 });
    expect(differences['stray-nodes']).toMatchObject({ unexplained: 1, nameless: 1 });
    expect(told).toEqual({ 'stray-vectors': [null, null], 'stray-nodes': [null] });
  });

  test('agrees about nothing where all three stores are empty', async () => {
    expect(await check()).toMatchObject({ memories: 0, vectors: 0, nodes: 0, told: {} });
  });

  test('changes nothing', async () => {
    const ids = idsFrom(5);
    await memories.everywhere(ids);
    await memories.forget(ids.slice(0, 2));
    const before = [await memories.allPoints(), await memories.wholeGraph()];
    await check();
    expect([await memories.allPoints(), await memories.wholeGraph()]).toEqual(before);
  });
});

describe('how a difference explains itself', () => {
  test('a stray is younger when it was written after the youngest memory in Postgres', async () => {
    const [old, young] = [idsFrom(10), idsFrom(4, LONG_AGO + DAY)];
    await memories.everywhere([...old, ...young]);
    await memories.forget([...young, old[2]!]);
    const { differences, all } = await check();
    expect(differences['stray-vectors']).toMatchObject({ younger: 4, unexplained: 1 });
    expect(differences['stray-nodes']).toMatchObject({ younger: 4, unexplained: 1 });
    expect(all.filter((one) => one.reason === 'unexplained').map((one) => one.memory)).toEqual([old[2], old[2]]);
    expect(all[0]?.at).toMatch(/^2026-01-0[12]T/);
  });

  test('a memory without a vector is younger when it was written after the youngest vector', async () => {
    const [old, young] = [idsFrom(10), idsFrom(4, LONG_AGO + DAY)];
    await memories.everywhere([...old, ...young]);
    await memories.deleteVectors([...young, old[2]!]);
    const { differences } = await check();
    expect(differences['missing-vectors']).toMatchObject({ younger: 4, unexplained: 1 });
  });

  test('where the moment of a store is known, that counts and not its youngest memory', async () => {
    const [old, young] = [idsFrom(10), idsFrom(4, LONG_AGO + DAY)];
    await memories.everywhere([...old, ...young]);
    await memories.forget(young);
    await memories.deleteVectors(old.slice(0, 2));
    const later = LONG_AGO + 2 * DAY;
    const none = await check({ moments: { postgres: later, qdrant: later } });
    expect(none.differences['stray-vectors']).toMatchObject({ younger: 0, unexplained: 4 });
    const before = LONG_AGO - DAY;
    const all = await check({ moments: { postgres: before, qdrant: before } });
    expect(all.differences['stray-vectors']).toMatchObject({ younger: 4, unexplained: 0 });
    expect(all.differences['missing-vectors']).toMatchObject({ younger: 2, unexplained: 0 });
  });

  test('a memory that was embedded after the moment of the vectors is younger, however old it is', async () => {
    const ids = idsFrom(6);
    await memories.everywhere(ids.slice(0, 3));
    await memories.rows(ids.slice(3), new Date(LONG_AGO + 2 * DAY));
    await memories.nodes(ids.slice(3));
    const { differences } = await check({ moments: { qdrant: LONG_AGO + DAY } });
    expect(differences['missing-vectors']).toMatchObject({ younger: 3, unexplained: 0 });
  });

  test('a memory of the last minute is recent: its vector and node may be under way', async () => {
    await memories.everywhere(idsFrom(3));
    await memories.rows(idsFrom(2, Date.now() - 1_000, 10));
    const { differences } = await check();
    expect(differences['missing-vectors']).toMatchObject({ recent: 2, unexplained: 0, younger: 0 });
    expect(differences['missing-nodes']).toMatchObject({ recent: 2, unexplained: 0, younger: 0 });
  });

  test('a vector that novamem has noted as an orphan is known', async () => {
    const ids = idsFrom(4);
    await memories.everywhere(ids);
    await memories.forget(ids.slice(0, 2));
    const [first] = (await check()).all.filter((one) => one.kind === 'stray-vectors' && one.memory === ids[0]);
    await real.sql(`INSERT INTO cold_orphans VALUES ('${first!.point}', '${first!.collection}')`);
    expect((await check()).differences['stray-vectors']).toMatchObject({ known: 1, unexplained: 1 });
  });

  test('an id that is no ULID tells no time, so it explains nothing', async () => {
    await memories.everywhere(idsFrom(3));
    await memories.vectors(['zzzzzzzzzzzzzzzzzzzzzzzzzz', '2026-12-31']);
    expect((await check()).differences['stray-vectors']).toMatchObject({ unexplained: 2, younger: 0 });
  });

  test('the examples are the unexplained first', async () => {
    const [old, young] = [idsFrom(10), idsFrom(30, LONG_AGO + DAY)];
    await memories.everywhere([...old, ...young]);
    await memories.forget([...young, ...old.slice(0, 2)]);
    const { examples } = (await check()).differences['stray-nodes'];
    expect(examples).toHaveLength(5);
    expect(examples).toEqual(expect.arrayContaining(old.slice(0, 2)));
  });
});

describe('while the cluster is written to', () => {
  test('a memory whose row came after Postgres was read is no stray', async () => {
    const ids = idsFrom(5);
    await memories.everywhere(ids.slice(0, 4));
    await memories.vectors(ids);
    // A second vector is told of before the strays are: what is written then is later than the reading of Postgres.
    await memories.vectors([ids[0]!], undefined, () => '00000000-0000-0000-0000-0000000000aa');
    const { told } = await check({
      onDifference: async ({ kind }) => {
        if (kind === 'double-vectors') await memories.rows([ids[4]!]);
      },
    });
    expect(told).toEqual({ 'double-vectors': [ids[0]] });
  });

  test('what comes after the other stores were read is no difference: a memory, and the vector of one that waited for it', async () => {
    const [waiting, fresh, ...ids] = idsFrom(6);
    await memories.everywhere(ids);
    await memories.rows([waiting!], null);
    await memories.nodes([waiting!]);
    const found = await check({}, async () => {
      await memories.rows([fresh!]);
      await memories.vectors([waiting!]);
      await real.sql(`UPDATE memory_entries SET embedded_at = now() WHERE id = '${waiting}'`);
    });
    expect(found).toMatchObject({ told: {}, memories: 6, vectors: 4, nodes: 5, pending: 1 });
  });

  test('an abort ends it', async () => {
    await memories.everywhere(idsFrom(50));
    const abort = new AbortController();
    const seen: string[] = [];
    const aborted = check({
      signal: abort.signal,
      onProgress: ({ text }) => {
        seen.push(text);
        abort.abort(new Error('enough'));
      },
    });
    await expect(aborted).rejects.toThrow('enough');
    expect(seen).toHaveLength(1);
  });

  test('a store that cannot be read to its end is an error, not a difference', async () => {
    await memories.everywhere(idsFrom(5));
    await real.sql('ALTER TABLE memory_entries RENAME TO elsewhere');
    try {
      await expect(check()).rejects.toThrow(/memory_entries/);
    } finally {
      await real.sql('ALTER TABLE elsewhere RENAME TO memory_entries');
    }
  });
});

test('answers of FalkorDB that are cut off to ten rows lose no node', async () => {
  const { falkordb } = real.cluster;
  await memories.everywhere(idsFrom(30));
  const { gateway } = real.context();
  await falkordb.write(gateway, 'GRAPH.CONFIG', 'SET', 'RESULTSET_SIZE', '10');
  try {
    expect(await check()).toMatchObject({ nodes: 30, told: {} });
  } finally {
    await falkordb.write(gateway, 'GRAPH.CONFIG', 'SET', 'RESULTSET_SIZE', '-1');
  }
});
