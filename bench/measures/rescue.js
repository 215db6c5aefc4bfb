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
  'on two cores the servers alone keep both busy for most of it (Qdrant 8 s of one core to load 700 MB, and another to compare the checksums), so that each second of checking is a second more: reading every memory in three stores 3 s, comparing every row and sampled points 2 s, reading the dump to its end 1 s. Done: what was only seen no longer waits for the disk each by itself (900 checks: 1.4 s of 16), snapshots are read once where nothing can be lost, each collection is proved while others are sent, comparing goes beside the cross-check, buffers are used again (a fifth of the time of the uploads was garbage collection), as many uploads at a time as bring more. Tried: recovery from file:// (6.6 instead of 7.1 s of one core in Qdrant; it takes no connection, but where it is refused everything is sent all the same); 2, 4, 8 and 16 uploads at a time by curl: 7.5, 5.9, 5.7 and 6.3 s.';

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
        loose: rescueFrom(loose),
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
