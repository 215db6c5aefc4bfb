import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { spawn } from '@lydell/node-pty';
import { interleaved, median, ratioOf } from '../interleaved.js';

const PROGRAM = fileURLToPath(new URL('../../bin/novamem-runbook.js', import.meta.url));
const MORE_ROUNDS = 4;
/** The title of the picture that stands until the screens do. */
const FIRST_FRAME = '· opening';
/** What stands above the list of scenarios, whatever the cluster says. */
const LIST = 'What happened?';

/** How long it takes until the version is said, and until the first frame stands, against Node doing nothing. */
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
    const seen = (what, how) => shown([PROGRAM, '--profile', profile], environment, what, how);
    // What Node has compiled is kept when a program ends by itself, as it does under a person's hands.
    plain(PROGRAM, '--version');
    await seen(LIST, 'quit');
    const measured = await interleaved(
      {
        'node -e 0': () => plain('-e', '0'),
        '--version': () => plain(PROGRAM, '--version'),
        'first frame': () => seen(FIRST_FRAME),
        'list of scenarios': () => seen(LIST),
      },
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
        figure: `${ratio.toFixed(2)} × \`node -e 0\` (${median(measured[what].ms).toFixed(0)} against ${median(node.ms).toFixed(0)} ms)${what === 'first frame' ? `: that it begins, for which cluster, and the keys; the list of scenarios, which answers keys, ${ratioOf(measured['list of scenarios'], node).toFixed(1)} × (${median(measured['list of scenarios'].ms).toFixed(0)} ms)` : ''}`,
        target: `≤ ${most} ×`,
        met: ratio <= most,
      };
    });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Resolves once the window shows something; the program is killed then, or (`how`: `quit`) told to leave and waited for. */
function shown(args, environment, what, how = 'kill') {
  return new Promise((resolve, reject) => {
    const program = spawn(process.execPath, args, { cols: 80, rows: 24, name: 'xterm-256color', env: environment });
    let written = '';
    let isShown = false;
    program.onData((data) => {
      if (isShown) return;
      written += data;
      if (!written.includes(what)) return;
      isShown = true;
      if (how === 'quit') return void program.write('q');
      resolve();
      program.kill('SIGKILL');
    });
    program.onExit(() =>
      isShown ? resolve() : reject(new Error(`it ended before it had shown “${what}”:\n${written}`)),
    );
  });
}
