import { mkdtempSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { readProfile } from '../cpu-profile.js';
import { median } from '../interleaved.js';
import { withBackedUp } from '../with-backed-up.js';

const MOST = 0.05;
const WHY =
  'more than half of it is the cross-check: some 700,000 looks into its index, pages of points taken apart, and a line about each of 100,000 memories that have no node here. What it takes has halved (Postgres read once instead of twice, slots of two words, ids of nodes as one text, ids hashed four characters at a time, rows told apart by Postgres), but so have the parts that are not its own; and where both cores are taken, as they are here, a profile counts as its own also what it waits for one. Tried: larger pages of points (more processor time, not less), instants of lines put together by hand (a tenth less, not kept), ids as bytes instead of texts (no less). Not tried: another thread, which would move it and not spare it.';
const MODULES = fileURLToPath(new URL('../../dist/cli.js', import.meta.url));

/** How much of a rescue's wall time the program's own code took, by V8's CPU profile. It has no plain counterpart. */
export async function measure({ rounds, small, tell }) {
  return withBackedUp(small, tell, async ({ name, cluster, size, set, folder }) => {
    const seen = [];
    for (let round = 1; round <= rounds; round += 1) {
      await cluster.lose();
      const to = mkdtempSync(join(folder, 'profile-'));
      await cluster.programUnder(
        ['--cpu-prof', `--cpu-prof-dir=${to}`],
        MODULES,
        ...['run', 'whole-cluster-lost', '--headless', '--confirm', name, '--backup', set],
      );
      const { wall, parts, ...of } = readProfile(join(to, readdirSync(to)[0]));
      seen.push(Object.fromEntries(Object.entries(of).map(([whose, ms]) => [whose, ms / wall])));
      const percent = (ms) => inPercent(ms / wall);
      tell(
        `${round}: ${(wall / 1000).toFixed(1)} s: own code ${percent(of.own)}, ${others((whose) => of[whose] / wall)}`,
      );
      tell(
        `   the most in ${parts
          .slice(0, 5)
          .map(([file, ms]) => `${file} ${percent(ms)}`)
          .join(', ')}`,
      );
    }
    await cluster.lose();
    const share = median(seen.map(({ own }) => own));
    return [
      {
        what: `the program's own code in a rescue of ${size.memories.toLocaleString('en-US')} memories, by V8's CPU profile`,
        figure: `${inPercent(share)} of the wall time (${others((whose) => median(seen.map((one) => one[whose])))})`,
        target: `≤ ${inPercent(MOST)}`,
        met: share <= MOST,
        ...(share > MOST ? { why: WHY } : {}),
      },
    ];
  });
}

const inPercent = (share) => `${(100 * share).toFixed(1)} %`;

/** What the main thread did besides. */
const others = (shareOf) =>
  `packages ${inPercent(shareOf('packages'))}, Node itself ${inPercent(shareOf('node'))}, garbage collection ${inPercent(shareOf('collector'))}, waiting for the disk ${inPercent(shareOf('disk'))}, idle ${inPercent(shareOf('idle'))}`;
