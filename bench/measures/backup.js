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
  "on two cores it is the work of both cores that counts: the handbook's commands take 12 s of them, one after the other, the program 14 to 17 s, side by side (before, 24 s). Qdrant makes its snapshots in 4 to 5 s in both, pg_dump its dump. What the program does besides is the set's evidence: rows and checksums in Postgres (0.9 s), collections before and after their snapshot (1.2 s), the graph (0.4 s), the cross-check that says how far the stores agree (2 s, before 4.9 s), golden searches (0.5 s), itself, its journal and its reports (1 s). Done: files are taken out of Qdrant's own snapshot folder where that is here (a second name, no copy; their checksum is the server's); the graph is read through again only where it was written to; a guard that sorted all of a large graph ten times (1.7 s) reads a piece of it; a sample of memories is taken without sorting all; pages of points and nodes are taken apart by JSON.parse alone; what is only read of a collection is asked without the vendor's client, for half of its time. Tried: 1 to 4 snapshots at a time (one: slower by half; two to four: the same). Not done: less evidence, and a dump that is packed less (level 1: 0.5 s less, 8 % larger).";

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
          // Nor is the next to wait until the disk has taken the sets of those before.
          before: async () => {
            rmSync(target, { recursive: true, force: true });
            for (const root of profile.backups) rmSync(root, { recursive: true, force: true });
          },
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
