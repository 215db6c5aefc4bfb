import { execFileSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { interleaved, ratioOf } from '../interleaved.js';
import { withBackedUp } from '../with-backed-up.js';

const TARGETS = [
  ['handbook', 0.7],
  ['expert', 1.05],
];

const SETS = [
  ['program', 'from a manifest set'],
  ['loose', 'from loose files'],
];

const WHY =
  "on two cores it is the work of both cores that counts. In quiet rounds the expert keeps them busy for 10 to 12 s (7 to 8 s wall), the handbook likewise, but one after the other; the program for 16 s (10.5 s wall): Qdrant 8, Postgres 2.3 instead of 1.2 (row checksums twice, ANALYZE, the cross-check), FalkorDB 0.8 instead of 0.3 (the files are proved by a server of their own first), the program itself and the programs that it starts 4.6. Qdrant recovers one collection after the other behind a lock of its own, some 0.08 s each, 5.2 s for 64 however many are asked for: that is as long as the expert needs for everything else. After it come the cross-check, 1.9 s (of 200,000 memories, of which half have no node, each of which is written down), and 0.9 s for novamem, its searches and how the services stand. Without a manifest each file is read once more for its checksum. Done: Qdrant reads the snapshots from the disk itself; connections are kept for a second; the cross-check takes a third of the time that it took (ids alone first, no promise for each difference, its own reading of pages); evidence is no fact of the step; snapshots are read once, proved while others are restored, and the checks wait for no disk. Tried: 2 to 8 at a time; a checksum of our own in place of the server's (as much work, here instead of there); collections made beforehand (1.3 s for 64, then 3.2 to 4.3 s: 1 s less work, but they would keep settings that are not the snapshot's). Not tried: the cross-check's reading of Postgres and FalkorDB while Qdrant is still at work, and a comparison that leaves out what the run has proved before.";

/** A lost cluster brought back from one backup set, with and without its manifest: by the program with all its checks, by the handbook, and by an expert with a shell. */
export async function measure({ rounds, small, tell }) {
  return withBackedUp(small, tell, async ({ name, cluster, size, expected, set, folder }) => {
    // As the plain commands leave them: nothing says what they hold.
    const loose = join(folder, 'loose');
    execFileSync('cp', ['-al', set, loose]);
    rmSync(join(loose, 'manifest.json'));
    const rescueFrom = (from) => () =>
      cluster.program('run', 'whole-cluster-lost', '--headless', '--confirm', name, '--backup', from);
    const measured = await interleaved(
      {
        program: rescueFrom(set),
        // Nothing says that half of the memories never had a node: that they lack one is an exception, and what is there is counted below.
        loose: () =>
          rescueFrom(loose)().catch((error) => {
            if (error.code !== 4) throw error;
          }),
        handbook: () => cluster.script('handbook-restore', { BACKUP: set }),
        expert: () => cluster.script('expert-restore', { BACKUP: set }),
      },
      {
        rounds,
        before: () => cluster.lose(),
        onRound: async ({ round, name, ms }) => {
          tell(`${round} ${name}: ${(ms / 1000).toFixed(1)} s`);
          const there = JSON.stringify(await cluster.counts());
          if (there !== expected) throw new Error(`${name} brought back ${there} of ${expected}`);
        },
      },
    );
    await cluster.lose();
    return SETS.flatMap(([way, from]) =>
      TARGETS.map(([other, most]) => {
        const ratio = ratioOf(measured[way], measured[other]);
        return {
          what: `whole-cluster-lost, ${size.memories.toLocaleString('en-US')} memories, ${from}, against the ${other}`,
          figure: `${ratio.toFixed(2)} × (${(measured[way].median / 1000).toFixed(1)} against ${(measured[other].median / 1000).toFixed(1)} s)`,
          target: `≤ ${most} ×`,
          met: ratio <= most,
          ...(ratio > most ? { why: WHY } : {}),
        };
      }),
    );
  });
}
