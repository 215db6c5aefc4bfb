import { beforeAll, expect, test } from 'vitest';
import { inventoryFalkordb } from '../../../src/stores/falkordb/inventory.js';
import { open, type RealCluster, realCluster } from '../../support/sandbox.js';

let real: RealCluster;

beforeAll(async () => {
  real = await realCluster(20);
});

const falkordb = () => real.cluster.falkordb;
const write = (cypher: string) => falkordb().change(open, falkordb().graph, cypher);

/** How many Cypher queries the server has answered that only read. */
async function readings(): Promise<number> {
  const stats = Object.entries(await falkordb().info('commandstats'));
  const [, text] = stats.find(([name]) => /graph\.ro_query$/i.test(name))!;
  return Number(/calls=(\d+)/.exec(text)![1]);
}

test('an inventory is taken anew after whatever was written or renamed, and not otherwise', async () => {
  const first = await inventoryFalkordb(falkordb());
  const before = await readings();
  expect(before).toBeGreaterThan(0);
  expect(await inventoryFalkordb(falkordb())).toEqual(first);
  expect(await readings()).toBe(before);

  const labelled = async (label: string) =>
    (await inventoryFalkordb(falkordb())).graphs[falkordb().graph]?.nodes[`[${label}]`]?.count;
  await write('CREATE (:Added)');
  expect(await labelled('Added')).toBe(1);
  await write('MATCH (n:Added) SET n:More');
  expect(await labelled('Added')).toBe(undefined);
  await write('MATCH (n:More) DELETE n');
  expect(await inventoryFalkordb(falkordb())).toEqual(first);

  await falkordb().renameGraph(open, falkordb().graph, 'elsewhere');
  expect(Object.keys((await inventoryFalkordb(falkordb())).graphs)).toEqual(['elsewhere']);
  await falkordb().renameGraph(open, 'elsewhere', falkordb().graph);
  expect(await inventoryFalkordb(falkordb())).toEqual(first);
});

test('a server that does not count its writes is read through each time', async () => {
  const silent = new Proxy(falkordb(), {
    get(target, name) {
      const value: unknown = Reflect.get(target, name, target);
      if (name === 'info')
        return async (section: string) => {
          const { rdb_changes_since_last_save: _, ...told } = await target.info(section);
          return told;
        };
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
  const first = await inventoryFalkordb(silent);
  const before = await readings();
  expect(await inventoryFalkordb(silent)).toEqual(first);
  expect(await readings()).toBeGreaterThan(before);
});
