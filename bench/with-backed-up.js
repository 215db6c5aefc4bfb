import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DIMENSIONS } from '../dist/sandbox/embedding.js';
import { addMemories } from './bulk-memories.js';
import { FIRST, ShellCluster, SIZES } from './shell-cluster.js';
import { withSandbox } from './with-sandbox.js';

/** Lets `work` have a cluster of the size that the targets name (or a small one) with a backup set of it, and a folder. */
export async function withBackedUp(small, tell, work) {
  const size = small ? SIZES.small : SIZES.real;
  const folder = mkdtempSync(join(tmpdir(), 'novamem-runbook-bench-'));
  try {
    return await withSandbox({ memories: FIRST.memories }, async ({ name, profile }) => {
      await addMemories(profile, size.memories - FIRST.memories, {
        collections: size.collections - FIRST.collections,
        dimensions: DIMENSIONS,
        nodes: size.nodes - FIRST.memories,
      });
      const cluster = new ShellCluster(profile, folder);
      const expected = JSON.stringify(await cluster.counts());
      await cluster.program('backup');
      const [root] = profile.backups;
      const set = join(root, readdirSync(root).sort().at(-1));
      tell(`${expected} stored and backed up`);
      return await work({ name, cluster, size, expected, set, folder });
    });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
