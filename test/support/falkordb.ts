import { untilBuilt } from '../../src/stores/falkordb/indexes.js';
import { compareFalkordb, type FalkordbInventory, inventoryFalkordb } from '../../src/stores/falkordb/inventory.js';
import { eventually } from './eventually.js';
import { open, type RealCluster } from './sandbox.js';

const quiet = { onLine: () => {} };

/** What tests do to the FalkorDB of a real cluster. */
export function falkordbOf(real: RealCluster) {
  const { falkordb } = real.cluster;
  const driver = real.cluster.driver('falkordb')!;
  const answers = async () => (await real.cluster.answering('falkordb')).answers;
  return {
    falkordb,
    driver,
    answers,
    now: () => inventoryFalkordb(falkordb),
    cypher: (text: string, graph = falkordb.graph) => falkordb.change(open, graph, text),
    /** Starts it and waits until it answers and has built its indexes. */
    async start() {
      await driver.start(open, quiet);
      await eventually('FalkorDB answers', answers);
      await untilBuilt(falkordb, 20_000, new AbortController().signal);
    },
    /** Ends it as a power cut would, as far as its files go: nothing is saved. */
    async down() {
      if (await answers()) await falkordb.shutdownWithoutSaving(open);
      await eventually('FalkorDB is gone', async () => (await driver.state()) === 'stopped');
    },
    /** Tells it to end as an init system would. */
    stop: () => driver.stop(open, quiet),
  };
}

/** What is not equal of two inventories of FalkorDB, a sentence each. */
export const differencesOf = (before: FalkordbInventory, after: FalkordbInventory): string[] =>
  compareFalkordb(before, after)
    .filter((check) => !check.ok)
    .map((check) => `${check.subject}, ${check.what}: expected ${check.expected}, found ${check.actual}`);
