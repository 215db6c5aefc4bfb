import { fork, spawn } from 'node:child_process';
import { createHash, randomFillSync } from 'node:crypto';
import { once } from 'node:events';
import { closeSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { interleaved, ratioOf } from '../interleaved.js';
import { mebibytes, readyProgram } from '../program.js';

const LEAST = 0.95;
const MOST_MEMORY = 120 * 2 ** 20;
const MEBIBYTE = 2 ** 20;

/** One snapshot file streamed as a restore does it, against `curl -F` of the same file, to the same server, which only reads. */
export async function measure({ rounds, small, tell }) {
  const mebibytesOfFile = small ? 128 : 2048;
  const folder = mkdtempSync(join(tmpdir(), 'novamem-runbook-bench-'));
  const sink = fork(fileURLToPath(new URL('../programs/sink.js', import.meta.url)));
  try {
    const [{ port }] = await once(sink, 'message');
    const url = `http://127.0.0.1:${port}`;
    const file = join(folder, 'bench.snapshot');
    const sha256 = writeRandom(file, mebibytesOfFile);
    let program;
    const measured = await interleaved(
      { curl: () => curl(`${url}/collections/novamem_bench/snapshots/upload`, file), upload: () => program.go() },
      {
        rounds,
        before: async (name) => {
          if (name === 'upload') program = await readyProgram('upload', url, file, sha256);
        },
        onRound: ({ round, name, ms, figures }) =>
          tell(
            `${round} ${name}: ${speed(mebibytesOfFile, ms)}${figures ? `, ${mebibytes(figures.peakBytes)} at most` : ''}`,
          ),
      },
    );
    const { curl: plain, upload } = measured;
    const ratio = 1 / ratioOf(upload, plain);
    const peak = Math.max(...upload.figures.map(({ peakBytes }) => peakBytes));
    return [
      {
        what: `upload of one snapshot of ${mebibytesOfFile} MiB`,
        figure: `${ratio.toFixed(2)} × curl's throughput (${speed(mebibytesOfFile, upload.median)} against ${speed(mebibytesOfFile, plain.median)}), peak memory ${mebibytes(peak)}`,
        target: `≥ ${LEAST} ×, ≤ ${mebibytes(MOST_MEMORY)}`,
        met: ratio >= LEAST && peak <= MOST_MEMORY,
      },
    ];
  } finally {
    sink.disconnect();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** A file that cannot be compressed; answers its SHA-256. */
function writeRandom(file, size) {
  const hash = createHash('sha256');
  const descriptor = openSync(file, 'w');
  const piece = Buffer.alloc(MEBIBYTE);
  for (let written = 0; written < size; written += 1) {
    randomFillSync(piece);
    hash.update(piece);
    writeSync(descriptor, piece);
  }
  closeSync(descriptor);
  return hash.digest('hex');
}

async function curl(url, file) {
  const child = spawn('curl', ['-fsS', '-o', '/dev/null', '-X', 'POST', url, '-F', `snapshot=@${file}`], {
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  const [code] = await once(child, 'exit');
  if (code !== 0) throw new Error(`curl ended with ${code}`);
}

const speed = (size, ms) => `${(size / (ms / 1000)).toFixed(0)} MiB/s`;
