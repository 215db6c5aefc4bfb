import { beforeAll, describe, expect, test } from 'vitest';
import {
  countMemoryGraph,
  memoriesIn,
  memoryGraphContent,
  missingTables,
  relationsIn,
  sampledMemories,
} from '../../../src/stores/novamem/memory-graph.js';
import type { Reading } from '../../../src/stores/postgres/connection.js';
import { type RealCluster, realCluster } from '../../support/sandbox.js';

let real: RealCluster;

beforeAll(async () => {
  real = await realCluster(100);
  // As a database without foreign keys may hold it: ends that are missing, and strengths that are no numbers.
  await real.sql(`ALTER TABLE memory_relations DROP CONSTRAINT memory_relations_from_id_fkey, DROP CONSTRAINT memory_relations_to_id_fkey,
      ALTER COLUMN strength DROP NOT NULL;
    INSERT INTO memory_relations SELECT 'acme', NULL, id, 'GONE', 'co_occurs', 0.5 FROM memory_entries ORDER BY id LIMIT 2;
    INSERT INTO memory_relations SELECT 'acme', NULL, 'GONE', id, 'made_up', 0.5 FROM memory_entries ORDER BY id LIMIT 1;
    INSERT INTO memory_relations SELECT 'acme', NULL, id, id, kind, strength
      FROM (SELECT id FROM memory_entries ORDER BY id LIMIT 1) m,
           (VALUES ('odd-nan', 'NaN'::float8), ('odd-infinite', '-Infinity'), ('odd-tiny', 5e-324), ('odd-null', NULL)) AS odd (kind, strength)`);
});

const read = <T>(work: (reading: Reading) => Promise<T>) => real.cluster.postgres.reading(work, { snapshot: true });
const collected = async <T>(batches: AsyncIterable<T[]>) => {
  const all: T[][] = [];
  for await (const batch of batches) all.push(batch);
  return all;
};

describe('the graph that Postgres describes', () => {
  test('is counted by kind; a relation without its ends is not in it, and counted apart', async () => {
    const counted = await read(countMemoryGraph);
    expect(counted.memories.count).toBe(100);
    expect(counted.withoutEnds).toEqual({ co_occurs: 2, made_up: 1 });
    expect(Object.keys(counted.relations)).not.toContain('made_up');
    const [{ sum, count }] = (await real.sql(
      `SELECT sum(strength), count(*)::int FROM memory_relations WHERE relation = 'co_occurs' AND to_id <> 'GONE'`,
    )) as [{ sum: number; count: number }];
    expect(counted.relations.co_occurs).toEqual({ count, strength: expect.closeTo(sum, 6) });
    expect(memoryGraphContent(counted).relationships.co_occurs).toBe(count);
  });

  test('has no strength where Postgres has none that Cypher could say', async () => {
    const { relations } = await read(countMemoryGraph);
    for (const kind of ['odd-nan', 'odd-infinite', 'odd-tiny', 'odd-null'])
      expect(relations[kind], kind).toEqual({ count: 1, strength: 0 });
    const rows = (await read((reading) => collected(relationsIn(reading, 1000)))).flat();
    const strengthOf = (kind: string) => rows.find((row) => row.kind === kind)!.strength;
    expect(['odd-nan', 'odd-infinite', 'odd-tiny', 'odd-null'].map(strengthOf)).toEqual([null, null, 0, null]);
  });

  test('is read in batches, each row once', async () => {
    const memories = await read((reading) => collected(memoriesIn(reading, 30)));
    expect(memories.map((batch) => batch.length)).toEqual([30, 30, 30, 10]);
    expect(new Set(memories.flat().map((one) => one.id)).size).toBe(100);
    expect(memories.flat().every((one) => typeof one.project === 'string')).toBe(true);
    const { relations } = await read(countMemoryGraph);
    const all = (await read((reading) => collected(relationsIn(reading, 7)))).flat();
    expect(all).toHaveLength(Object.values(relations).reduce((sum, one) => sum + one.count, 0));
    expect(all.some((one) => one.to === 'GONE' || one.from === 'GONE')).toBe(false);
  });

  test('is of one moment, though it is written to meanwhile', async () => {
    const seen = await read(async (reading) => {
      const before = await countMemoryGraph(reading);
      await real.sql(`INSERT INTO memory_relations SELECT 'acme', NULL, id, id, 'late', 0.5 FROM memory_entries`);
      const rows = (await collected(relationsIn(reading, 50))).flat();
      return { before, late: rows.filter((row) => row.kind === 'late').length };
    });
    await real.sql(`DELETE FROM memory_relations WHERE relation = 'late'`);
    expect(seen.before.relations.late).toBeUndefined();
    expect(seen.late).toBe(0);
  });

  test('can be left in the middle, and read again in the same snapshot', async () => {
    const counts = await read(async (reading) => {
      for await (const batch of memoriesIn(reading, 10)) if (batch.length > 0) break;
      return (await collected(memoriesIn(reading, 1000))).flat().length;
    });
    expect(counts).toBe(100);
  });

  test('gives the same samples every time, with all their relations', async () => {
    const [first, second] = [
      await read((reading) => sampledMemories(reading, 5)),
      await read((reading) => sampledMemories(reading, 5)),
    ];
    expect(first).toEqual(second);
    expect(first).toHaveLength(5);
    expect(first.some((one) => one.relations.length > 1)).toBe(true);
  });

  test('names the tables that are not there', async () => {
    expect(await read(missingTables)).toEqual([]);
    await real.sql('ALTER TABLE memory_relations RENAME TO kept');
    expect(await read(missingTables)).toEqual(['memory_relations']);
    await real.sql('ALTER TABLE kept RENAME TO memory_relations');
  });
});
