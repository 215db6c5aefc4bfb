import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { spawn } from '@lydell/node-pty';
import { interleaved, median, ratioOf } from '../interleaved.js';

const PROGRAM = fileURLToPath(new URL('../../bin/novamem-runbook.js', import.meta.url));
const MORE_ROUNDS = 4;
/** What stands on the first screen, whatever the cluster says. */
const FIRST_FRAME = 'What happened?';

/** How long it takes until the version is said, and until the first screen stands, against Node doing nothing. */
export async function measure({ rounds, tell }) {
  const folder = mkdtempSync(join(tmpdir(), 'novamem-runbook-bench-'));
  try {
    const profile = join(folder, 'nobody.yaml');
    // Nothing answers there, and nothing is waited for.
    writeFileSync(
      profile,
      'name: nobody\npostgres: { url: "postgres://a@127.0.0.1:9/a" }\nqdrant: { url: "http://127.0.0.1:9" }\nfalkordb: { url: "redis://127.0.0.1:9" }\nbackups: []\n',
    );
    const environment = { ...process.env, NOVAMEM_RUNBOOK_HOME: join(folder, 'home'), TERM: 'xterm-256color' };
    const plain = (...args) => void spawnSync(process.execPath, args, { env: environment });
    const frame = () => firstFrame([PROGRAM, '--profile', profile], environment);
    // Whoever starts it the first time fills the caches of the system and of Node.
    plain(PROGRAM, '--version');
    await frame();
    const measured = await interleaved(
      { 'node -e 0': () => plain('-e', '0'), '--version': () => plain(PROGRAM, '--version'), 'first frame': frame },
      { rounds: rounds * MORE_ROUNDS },
    );
    const node = measured['node -e 0'];
    tell(
      Object.entries(measured)
        .map(([name, { ms }]) => `${name} ${median(ms).toFixed(0)} ms`)
        .join(', '),
    );
    return [
      ['--version', 1.5],
      ['first frame', 4],
    ].map(([what, most]) => {
      const ratio = ratioOf(measured[what], node);
      return {
        what,
        figure: `${ratio.toFixed(2)} × \`node -e 0\` (${median(measured[what].ms).toFixed(0)} against ${median(node.ms).toFixed(0)} ms)`,
        target: `≤ ${most} ×`,
        met: ratio <= most,
      };
    });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Resolves once the first screen stands; the program is ended afterwards, which the next one waits for. */
function firstFrame(args, environment) {
  return new Promise((resolve, reject) => {
    const program = spawn(process.execPath, args, { cols: 80, rows: 24, name: 'xterm-256color', env: environment });
    let written = '';
    program.onData((data) => {
      written += data;
      if (!written.includes(FIRST_FRAME)) return;
      written = '';
      resolve();
      program.kill('SIGKILL');
    });
    program.onExit(() => reject(new Error(`it ended before its first frame:\n${written}`)));
  });
}
