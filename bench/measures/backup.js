import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DIMENSIONS } from '../../dist/sandbox/embedding.js';
import { addMemories } from '../bulk-memories.js';
import { interleaved, ratioOf } from '../interleaved.js';
import { FIRST, ShellCluster, SIZES } from '../shell-cluster.js';
import { withSandbox } from '../with-sandbox.js';

const MOST = 0.7;
const WHY =
  'in a quiet round of 13 s the snapshots of Qdrant took 8.4 s, beside the dump (2.1 s) and the graph (1.3 s), and the manifest 4.8 s: 3.5 s for the cross-check that says how far the stores agree, 1.2 s for the golden searches, which are recorded beside it since. Not tried: the cross-check beside the snapshots, which would have to be held against what is written meanwhile.';

/** A backup set with manifest, checksums, inventory and golden searches, against the handbook's commands one after the other. */
export async function measure({ rounds, small, tell }) {
  const size = small ? SIZES.small : SIZES.real;
  const folder = mkdtempSync(join(tmpdir(), 'novamem-runbook-bench-'));
  try {
    return await withSandbox({ memories: FIRST.memories }, async ({ profile }) => {
      await addMemories(profile, size.memories - FIRST.memories, {
        collections: size.collections - FIRST.collections,
        dimensions: DIMENSIONS,
        nodes: size.nodes - FIRST.memories,
      });
      const cluster = new ShellCluster(profile, folder);
      const target = join(folder, 'backup');
      const { program, handbook } = await interleaved(
        {
          program: () => cluster.program('backup'),
          handbook: () => cluster.script('handbook-backup', { TARGET: target }),
        },
        {
          rounds,
          before: async () => rmSync(target, { recursive: true, force: true }),
          onRound: ({ round, name, ms }) => tell(`${round} ${name}: ${(ms / 1000).toFixed(1)} s`),
        },
      );
      const ratio = ratioOf(program, handbook);
      return [
        {
          what: `backup of ${size.memories.toLocaleString('en-US')} memories against the handbook's commands`,
          figure: `${ratio.toFixed(2)} × (${(program.median / 1000).toFixed(1)} against ${(handbook.median / 1000).toFixed(1)} s)`,
          target: `≤ ${MOST} ×`,
          met: ratio <= MOST,
          ...(ratio > MOST ? { why: WHY } : {}),
        },
      ];
    });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
