import { fork } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { interleaved, median } from '../interleaved.js';
import { mebibytes, readyProgram } from '../program.js';

const FEW = 100;
const MOST = 1.2;
const MOST_MEMORY = 250 * 2 ** 20;
const WHY =
  "the program's modules take 190 MiB before anything begins (100 collections: as much), and 70,000 pieces of evidence stay until the report is written. Between rounds the peak differs by 20 MiB with what the garbage collector has come to. Done: the plan of 10,000 commands no longer lets the heap grow (287 before), no evidence is kept twice.";

/** Planning, checking, restoring and proving many collections against few, with a stand-in for Qdrant that has next to nothing to do. */
export async function measure({ rounds, small, tell }) {
  const many = small ? 1_000 : 10_000;
  const folder = mkdtempSync(join(tmpdir(), 'novamem-runbook-bench-'));
  const server = fork(fileURLToPath(new URL('../programs/counting-qdrant.js', import.meta.url)));
  try {
    const [{ port }] = await once(server, 'message');
    const file = join(folder, 'bench.snapshot');
    const content = Buffer.alloc(4096, 'snapshot');
    writeFileSync(file, content);
    const sha256 = createHash('sha256').update(content).digest('hex');
    let program;
    const way = (count) => async () => {
      const said = await program.go();
      if (said.outcome !== 'recovered') throw new Error(`the run ended ${said.outcome}: ${JSON.stringify(said)}`);
      server.send('count');
      const [{ requests }] = await once(server, 'message');
      return { ...said, each: requests / count };
    };
    const measured = await interleaved(
      { [FEW]: way(FEW), [many]: way(many) },
      {
        rounds,
        before: async (count) => {
          program = await readyProgram(
            'restore-collections',
            `http://127.0.0.1:${port}`,
            folder,
            file,
            sha256,
            count,
          );
        },
        onRound: ({ round, name, ms, figures }) =>
          tell(
            `${round} ${name} collections: ${(ms / Number(name)).toFixed(1)} ms (${(figures.cpuMs / Number(name)).toFixed(1)} of the processor) and ${figures.each.toFixed(1)} requests each, ${mebibytes(figures.peakBytes)} at most`,
          ),
      },
    );
    const [few, lots] = [measured[FEW], measured[many]];
    const ratio = median(lots.ms.map((ms, round) => ms / many / (few.ms[round] / FEW)));
    const peak = Math.max(...lots.figures.map(({ peakBytes }) => peakBytes));
    return [
      {
        what: `${many.toLocaleString('en-US')} collections planned, restored and proved`,
        figure: `${ratio.toFixed(2)} × the time for each of ${FEW} (${(lots.median / many).toFixed(1)} against ${(few.median / FEW).toFixed(1)} ms), peak memory ${mebibytes(peak)}`,
        target: `≤ ${MOST} ×, ≤ ${mebibytes(MOST_MEMORY)}`,
        met: ratio <= MOST && peak <= MOST_MEMORY,
        ...(ratio > MOST || peak > MOST_MEMORY ? { why: WHY } : {}),
      },
    ];
  } finally {
    server.disconnect();
    rmSync(folder, { recursive: true, force: true });
  }
}
