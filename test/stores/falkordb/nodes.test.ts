import { beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { cypherOf, cypherText, type TypedValue } from '../../../src/stores/falkordb/cypher.js';
import {
  deleteNodes,
  type NodeOf,
  nodeContentPages,
  nodePages,
  nodesAmong,
  readNodes,
} from '../../../src/stores/falkordb/nodes.js';
import { idsFrom, LONG_AGO, Memories } from '../../support/memories.js';
import { open, type RealCluster, realCluster } from '../../support/sandbox.js';

let real: RealCluster;
let memories: Memories;

beforeAll(async () => {
  real = await realCluster(10);
  memories = new Memories(real);
});

beforeEach(() => memories.clear());

const falkordb = () => real.cluster.falkordb;

async function nodesNow(): Promise<NodeOf[]> {
  const found: NodeOf[] = [];
  for await (const page of nodePages(falkordb())) found.push(...page);
  return found;
}

describe('nodes of memories', () => {
  test('are told over the borders of pages, with gaps where some were deleted', async () => {
    const ids = idsFrom(25_000, LONG_AGO, 10);
    await memories.nodes(ids);
    await memories.cypher('MATCH (m:Memory) WHERE ID(m) >= 9000 AND ID(m) < 21000 DELETE m');
    const left = [...ids.slice(0, 9_000), ...ids.slice(21_000)];
    expect((await nodesNow()).map((one) => one.memory).sort()).toEqual(left);
  });

  test('are told whatever their ids are: numbers, none, or texts that JSON has signs for', async () => {
    await memories.nodes(['plain', 'with "quotes", \\ and\na line']);
    await memories.cypher('CREATE (:Memory {id: 7}), (:Memory)');
    const told = (await nodesNow()).map((one) => one.memory);
    expect(new Set(told)).toEqual(new Set(['plain', 'with "quotes", \\ and\na line', '7', null]));
    expect(told).toHaveLength(4);
  });

  test('are told by their own ids where JSON would read a backslash and what follows it as another character', async () => {
    const ids = ['\\\\', '\\t', '\\u0041', 'a\\/b', '\\"'];
    for (const id of ids) {
      await memories.nodes([id]);
      expect((await nodesNow()).map((one) => one.memory)).toEqual([id]);
      await memories.deleteNodes([id]);
    }
  });

  test('are told whole while some are made and some are deleted: one number is used again behind what was read', async () => {
    const ids = idsFrom(10_010, LONG_AGO, 10);
    await memories.nodes(ids);
    const at = (number: number) => `MATCH (m:Memory) WHERE ID(m) = ${number}`;
    await memories.cypher(`${at(5)} DELETE m`);
    const told: NodeOf[] = [];
    for await (const page of nodePages(falkordb())) {
      if (told.length === 0) {
        await memories.cypher("CREATE (:Memory {id: 'made'})");
        await memories.cypher(`${at(10_005)} DELETE m`);
      }
      told.push(...page);
    }
    const gone = new Set([5, 10_005]);
    expect(told.map((one) => one.memory).sort()).toEqual(ids.filter((_, number) => !gone.has(number)));
  });

  test('are told whole by a server that cuts off the rows of an answer, whatever their ids are', async () => {
    const ids = idsFrom(30);
    await memories.nodes(ids);
    await memories.cypher('CREATE (:Memory {id: 7})');
    await falkordb().write(open, 'GRAPH.CONFIG', 'SET', 'RESULTSET_SIZE', '10');
    try {
      expect((await nodesNow()).map((one) => one.memory).sort()).toEqual([...ids, '7']);
      const says: string[] = [];
      for await (const page of nodeContentPages(falkordb())) says.push(...page.map((one) => one.says));
      expect(says).toHaveLength(31);
      expect(says[0]).toContain(ids[0]);
    } finally {
      await falkordb().write(open, 'GRAPH.CONFIG', 'SET', 'RESULTSET_SIZE', '-1');
    }
  });

  test('are read and deleted with their relationships in a large graph without looking through all of it', async () => {
    const ids = idsFrom(100_000, LONG_AGO, 10);
    await memories.nodes(ids);
    await memories.cypher(
      'UNWIND range(50000, 50499) AS n MATCH (a) WHERE ID(a) = n WITH a, n MATCH (b) WHERE ID(b) = n + 500 CREATE (a)-[:RELATES {kind: "x"}]->(b)',
    );
    const some = (await nodesNow()).filter(({ node }) => node >= 50_000 && node < 50_500);
    const begun = Date.now();
    const saved = await readNodes(falkordb(), some);
    expect(await deleteNodes(open, falkordb(), some)).toEqual({ nodes: 500, relationships: 500 });
    // A look through all nodes for each of these takes minutes.
    expect(Date.now() - begun).toBeLessThan(15_000);
    expect(saved).toHaveLength(500);
    expect(saved.every((one) => one.relationships.length === 1)).toBe(true);
  });

  test('are neither read nor deleted once their number is another memory’s', async () => {
    const ids = idsFrom(3);
    await memories.nodes(ids);
    const [first] = await nodesNow();
    await memories.deleteNodes([first!.memory!]);
    await memories.cypher(`CREATE (:Memory {id: 'another'})`);
    const other = (await nodesNow()).find((one) => one.memory === 'another');
    expect(other?.node).toBe(first!.node);
    expect(await readNodes(falkordb(), [first!])).toEqual([]);
    expect(await nodesAmong(falkordb(), [first!])).toEqual([]);
    expect(await deleteNodes(open, falkordb(), [first!])).toEqual({ nodes: 0, relationships: 0 });
  });
});

describe('a value as Cypher reads it', () => {
  test.each([
    "'it\\'s'",
    "'back\\\\slash'",
    "'two\\nlines'",
    '-7',
    '2.5',
    '2.0',
    '1e+300',
    '0.333333333333333',
    'true',
    "[1, 2.5, 'x', [true]]",
    'point({latitude: 32.0999984741211, longitude: -1.5})',
    'vecf32([0.5, -1.0])',
  ])('%s comes back as it was', async (cypher) => {
    await memories.cypher(`CREATE (:Value {value: ${cypher}})`);
    const ask = () => falkordb().typedQuery(falkordb().graph, 'MATCH (v:Value) RETURN v.value');
    const [[before]] = (await ask()) as [[TypedValue]];
    await memories.cypher(`MATCH (v:Value) SET v.value = ${cypherOf(before)}`);
    expect(await ask()).toEqual([[before]]);
  });

  test('is refused where it has no such form', () => {
    expect(() => cypherOf([14, 1_767_312_000])).toThrow(/could not be written again/);
    expect(() => cypherOf([3, 2 ** 53])).toThrow(/could not be written again/);
    expect(() => cypherOf([5, 'nan'])).toThrow(/could not be written again/);
  });

  test('cannot be ended from within', async () => {
    const text = "'}) DETACH DELETE (m) //\\";
    await memories.nodes(idsFrom(1));
    expect(await falkordb().query(falkordb().graph, `RETURN ${cypherText(text)}`)).toEqual([[text]]);
  });
});
