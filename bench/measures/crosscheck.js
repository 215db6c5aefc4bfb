import { addMemories } from '../bulk-memories.js';
import { interleaved } from '../interleaved.js';
import { mebibytes, readyProgram } from '../program.js';
import { withSandbox } from '../with-sandbox.js';

const MOST_SECONDS = 30;
const MOST_MEMORY = 200 * 2 ** 20;
const WHY =
  'the heap takes 70 MiB of it and buffers 25, the index among them, from the first second to the last; the rest is Node itself, its libraries, and what the allocator does not give back. It was 186 to 195 MiB as long as it took three times as long. Tried: pages of half and of a quarter of the size, one collection at a time, a heap that grows by 15 instead of 30 % (kept), buffers swept at once, one arena of the allocator: 5 to 10 MiB each, within what chance does.';
/** With which a sandbox begins; the others are added in bulk. */
const FIRST = 200;

/** Whether three real servers agree about every memory, asked both ways. It has no plain counterpart: nobody does that by hand. */
export async function measure({ rounds, small, tell }) {
  const count = small ? 50_000 : 1_000_000;
  return withSandbox({ memories: FIRST, novamem: false }, async ({ name, profile }) => {
    await addMemories(profile, count);
    tell(`${count.toLocaleString('en-US')} memories stored`);
    let program;
    const { crosscheck } = await interleaved(
      { crosscheck: () => program.go() },
      {
        rounds,
        before: async () => {
          program = await readyProgram('crosscheck', name);
        },
        onRound: ({ round, ms, figures }) =>
          tell(`${round}: ${(ms / 1000).toFixed(1)} s, ${mebibytes(figures.peakBytes)} at most`),
      },
    );
    for (const { memories, vectors, nodes, withVector, withNode } of crosscheck.figures)
      if (memories < count || [vectors, nodes, withVector, withNode].some((one) => one !== memories))
        throw new Error(`the cross-check saw ${memories} memories, ${vectors} vectors, ${nodes} nodes`);
    const seconds = crosscheck.median / 1000;
    const peak = Math.max(...crosscheck.figures.map(({ peakBytes }) => peakBytes));
    return [
      {
        what: `cross-check of ${count.toLocaleString('en-US')} memories, vectors and nodes`,
        figure: `${seconds.toFixed(1)} s, peak memory ${mebibytes(peak)}`,
        target: `≤ ${MOST_SECONDS} s, ≤ ${mebibytes(MOST_MEMORY)}`,
        met: seconds <= MOST_SECONDS && peak <= MOST_MEMORY,
        ...(seconds > MOST_SECONDS || peak > MOST_MEMORY ? { why: WHY } : {}),
      },
    ];
  });
}
