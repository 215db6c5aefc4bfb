import { chmodSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { type Ended, ROOT, runFile } from '../support/program.js';
import { tempFolder } from '../support/temp.js';

// The package as others get it: packed, installed into an empty prefix, and run by somebody who may not write there.

const INSTALLING_MS = 400_000;
const NOBODY = 65534;
let tarball: string;
let files: string[];

/** Npm of the PATH. */
const runNpm = (args: readonly string[], cwd: string): Promise<Ended> =>
  runFile('/bin/sh', ['-c', 'cd "$0" && exec npm "$@"', cwd, ...args], { timeoutMs: INSTALLING_MS });

beforeAll(async () => {
  const folder = tempFolder('package');
  const packed = await runNpm(['pack', ROOT, '--ignore-scripts', '--json', '--pack-destination', folder], folder);
  expect(packed.exitCode, packed.stderr).toBe(0);
  const [name] = readdirSync(folder).filter((one) => one.endsWith('.tgz'));
  tarball = join(folder, name!);
  const listed = await runFile('tar', ['-tzf', tarball]);
  files = listed.stdout
    .trim()
    .split('\n')
    .map((line) => line.replace(/^package\//, ''));
}, INSTALLING_MS);

describe('the package', () => {
  test('holds what is run and read, and nothing else', () => {
    for (const file of [
      'bin/novamem-runbook.js',
      'dist/bundle/cli.js',
      'dist/bundle/idle-session-main.js',
      'dist/bundle/stand-in-main.js',
      'dist/bundle/keeper-main.js',
      'man/novamem-runbook.1',
      'runbooks/schema.json',
      'lessons/schema.json',
      'profiles/schema.json',
      'docs/outage-card.md',
      'CHANGELOG.md',
      'LICENSE',
      'README.md',
    ])
      expect(files).toContain(file);
    const others = files.filter(
      (file) => !/^(bin|dist\/bundle|docs\/[^/]+\.md|lessons|man|profiles|runbooks)(\/|$)/.test(file),
    );
    expect(others.sort()).toEqual([
      'CHANGELOG.md',
      'LICENSE',
      'README.md',
      'package.json',
      'scripts/provide-servers.sh',
      'scripts/require-node.cjs',
    ]);
  });

  test('needs nothing that is made for one platform alone, outside of what is optional', () => {
    const lock = JSON.parse(readFileSync(join(ROOT, 'package-lock.json'), 'utf8')) as {
      packages: Record<
        string,
        { os?: string[]; cpu?: string[]; dev?: boolean; optional?: boolean; devOptional?: boolean }
      >;
    };
    const bound = Object.entries(lock.packages)
      .filter(([, one]) => (one.os || one.cpu) && !one.dev && !one.optional && !one.devOptional)
      .map(([name]) => name);
    expect(bound).toEqual([]);
  });
});

// For `-g` npm 11 installs what is optional whatever it is told; without `-g` it leaves it out.
describe.each([
  { how: 'globally', options: ['-g'], program: 'bin/novamem-runbook', servers: true },
  { how: 'globally with --omit=optional', options: ['-g', '--omit=optional'], program: 'bin/novamem-runbook' },
  {
    how: 'without the servers of a sandbox',
    options: ['--omit=optional'],
    program: 'node_modules/.bin/novamem-runbook',
    servers: false,
  },
])('installed into an empty prefix $how', ({ options, program: at, servers }) => {
  let prefix: string;

  /** The installed program as an ordinary user, who may not write into the prefix. */
  const asNobody = (args: readonly string[], home: string): Promise<Ended> => {
    const program = join(prefix, at);
    const environment = { NOVAMEM_RUNBOOK_HOME: home, PATH: `${dirname(process.execPath)}:${process.env.PATH}` };
    return process.getuid?.() === 0
      ? runFile('setpriv', [`--reuid=${NOBODY}`, `--regid=${NOBODY}`, '--clear-groups', program, ...args], {
          environment,
        })
      : runFile(program, args, { environment });
  };

  beforeAll(async () => {
    const folder = tempFolder('prefix');
    chmodSync(folder, 0o755);
    prefix = join(folder, 'empty');
    mkdirSync(prefix);
    const installed = await runNpm(
      ['install', tarball, '--prefix', prefix, '--no-audit', '--no-fund', ...options],
      folder,
    );
    expect(installed.exitCode, installed.stderr).toBe(0);
    chmodSync(prefix, 0o555);
  }, INSTALLING_MS);

  const openHome = () => {
    const home = tempFolder('home');
    chmodSync(home, 0o777);
    return home;
  };

  test('it runs for an ordinary user, and writes only into its home', async () => {
    const home = openHome();
    const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { version: string };
    expect(await asNobody(['--version'], home)).toEqual({ exitCode: 0, stdout: `${version}\n`, stderr: '' });
    expect(await asNobody(['validate', '--all'], home)).toMatchObject({ exitCode: 0, stderr: '' });
    const doctor = await asNobody(['doctor', '--json'], home);
    const { observations } = JSON.parse(doctor.stdout) as { observations: { level: string; message: string }[] };
    const found = observations.find(({ message }) => message.includes('throw-away cluster'));
    expect(['ok', 'warning']).toContain(found?.level);
    if (servers !== undefined) expect(found?.level).toBe(servers ? 'ok' : 'warning');
    expect(doctor.exitCode).toBe(0);
  });

  test.skipIf(process.getuid?.() !== 0)('it says so where its home cannot be written', async () => {
    const closed = join(tempFolder('closed'), 'home');
    mkdirSync(closed);
    chmodSync(dirname(closed), 0o755);
    const doctor = await asNobody(['doctor'], closed);
    expect(doctor).toMatchObject({ exitCode: 1, stdout: expect.stringContaining('nothing can be recorded') });
  });

  test.skipIf(!options.includes('-g'))('its manual page is where man looks', () => {
    expect(readFileSync(join(prefix, 'share/man/man1/novamem-runbook.1'), 'utf8')).toContain('.SH EXIT STATUS');
  });
});
