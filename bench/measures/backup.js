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
  "the snapshots of Qdrant take 7 s (700 MiB in 64 files), and after them the manifest 2.3 s, most of it the cross-check that says how far the stores agree. The handbook's curl writes them as fast as they come; here all bytes go through one thread that takes them off the socket, hashes and writes them, 160 MB a second on this machine (the hash is 0.6 s of it), and each collection is looked at before and after, so that the manifest can vouch for what is in it. Tried: 1 MiB at a time to the disk instead of what the socket gives (no difference beyond chance); no waiting for the disk after each snapshot, but once before the manifest. Not tried: to take the files out of Qdrant's own snapshot folder where it lies on this machine, and the cross-check beside the snapshots.";

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
