import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, renameSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterPacking } from './packed.js';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const stamp = join(root, 'dist', '.built');

function newest(path) {
  const stat = statSync(path);
  if (!stat.isDirectory()) return stat.mtimeMs;
  return Math.max(stat.mtimeMs, ...readdirSync(path).map((name) => newest(join(path, name))));
}

/** The programs: what is typed, and what starts as a process of its own. */
const PROGRAMS = ['cli', 'sandbox/stand-in-main', 'sandbox/keeper-main', 'sandbox/idle-session-main'];

/** Puts each program, with what it needs of others' packages, into few files: that many modules take long to be found and read. */
function bundle(folder) {
  const bundled = spawnSync(
    process.execPath,
    [
      join(root, 'node_modules/rolldown/bin/cli.mjs'),
      ...PROGRAMS.map((program) => join(folder, `${program}.js`)),
      ...['-d', join(folder, 'bundle'), '--platform', 'node', '--format', 'esm', '--log-level', 'warn'],
    ],
    { encoding: 'utf8' },
  );
  return { failed: bundled.status !== 0, said: `${bundled.stdout}${bundled.stderr}` };
}

/** Compiles src into dist, beside the old one and then in its place, so that a program that runs never meets half of it. */
export function build() {
  // One that was killed while it packed.
  afterPacking();
  const started = new Date();
  const fresh = join(root, `.dist-${process.pid}`);
  const compiled = spawnSync(
    process.execPath,
    [join(root, 'node_modules/typescript/bin/tsc'), '-p', join(root, 'tsconfig.build.json'), '--outDir', fresh],
    { encoding: 'utf8' },
  );
  const { failed, said } =
    compiled.status === 0 ? bundle(fresh) : { failed: true, said: `${compiled.stdout}${compiled.stderr}` };
  if (failed) {
    rmSync(fresh, { recursive: true, force: true });
    process.stderr.write(`The build failed; dist is as it was.\n${said}`);
    process.exit(2);
  }
  const old = join(root, `.dist-${process.pid}-old`);
  if (existsSync(join(root, 'dist'))) renameSync(join(root, 'dist'), old);
  renameSync(fresh, join(root, 'dist'));
  rmSync(old, { recursive: true, force: true });
  writeFileSync(stamp, '');
  utimesSync(stamp, started, started);
}

/** Builds when a source, or what decides how it is compiled, is newer than the last build. */
export function buildIfStale() {
  const sources = ['src', 'tsconfig.json', 'tsconfig.build.json', 'package.json', 'scripts/built.js'].map((name) =>
    join(root, name),
  );
  if (!existsSync(stamp) || sources.some((path) => newest(path) > statSync(stamp).mtimeMs)) build();
}
