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
  "on two cores it is the work of both cores that counts. Qdrant's part is the same for all three (it recovers one collection after the other behind a lock of its own, however many are asked for), and it is as long as the expert needs for everything else. Before it come the start, guards and the plan, 1 s; after it what nobody else does: every collection, table and graph compared with the set's inventory, every memory with every vector and node, both ways (of 200,000 memories half have no node here, each of which is written down), novamem's health, the golden searches, the reports. Done: Qdrant reads the snapshots from the disk itself; connections are kept for a second; the cross-check takes 2 instead of 4.9 s of processor time (Postgres is read once, by COPY, and last; ids of nodes come as one text; what is too many is looked for only where the counts say that there is any); a graph that nobody has written to since is not read again; evidence is no fact of the step; snapshots are read once and proved while others are restored. Tried: 2 to 8 at a time; a checksum of our own in place of the server's; collections made beforehand (1 s less work, but they would keep settings that are not the snapshot's). Not done: reading vectors for the cross-check while Qdrant is still at work, and a comparison that leaves out what the run has proved before: both would vouch for a moment that has passed.";

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
