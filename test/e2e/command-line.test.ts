import { execFileSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { freePorts } from '../../src/sandbox/free-ports.js';
import { type Ended, PROGRAM, ROOT, runFile, runProgram } from '../support/program.js';

// What a person, a script or cron meets on the command line, before any cluster is reached.

const work = mkdtempSync(join(tmpdir(), 'novamem-runbook-cli-'));
const environment = { NOVAMEM_RUNBOOK_HOME: join(work, 'home') };
const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { version: string };

afterAll(() => rmSync(work, { recursive: true, force: true }));

const program = (...args: string[]): Promise<Ended> => runProgram(args, { environment });

let files = 0;

/** A file of this text, as lines; answers its path. */
function fileOf(lines: readonly string[]): string {
  files += 1;
  const file = join(work, `file-${files}.yaml`);
  writeFileSync(file, `${lines.join('\n')}\n`);
  return file;
}

/** `file:line:column` of where this text stands last in a file. */
function placeOf(text: string, file: string): string {
  const whole = readFileSync(file, 'utf8');
  const before = whole.slice(0, whole.lastIndexOf(text)).split('\n');
  return `${file}:${before.length}:${before.at(-1)!.length + 1}`;
}

const profileOf = (ports: readonly number[], more: readonly string[] = []) => [
  'name: nobody-home',
  `postgres: { url: "postgres://novamem@127.0.0.1:${ports[0]}/novamem" }`,
  `qdrant: { url: "http://127.0.0.1:${ports[1]}" }`,
  `falkordb: { url: "redis://127.0.0.1:${ports[2]}" }`,
  `novamem: { url: "http://127.0.0.1:${ports[3]}" }`,
  ...more,
];

/** A refusal: nothing on stdout, the exit code, and words without a stack trace. */
function expectRefusal(ended: Ended, exitCode: number, ...words: string[]): void {
  expect(ended).toMatchObject({ exitCode, stdout: '' });
  for (const word of words) expect(ended.stderr).toContain(word);
  expect(ended.stderr).not.toMatch(/An error that should not be|\n\s+at /);
}

describe('what the program says of itself', () => {
  test('--version is the package’s version and nothing else', async () => {
    expect(await program('--version')).toEqual({ exitCode: 0, stdout: `${version}\n`, stderr: '' });
  });

  test('--help names every command, and each command has a help of its own', async () => {
    const help = await program('--help');
    expect(help).toMatchObject({ exitCode: 0, stderr: '' });
    for (const command of [
      'run',
      'plan',
      'backup',
      'backups',
      'runs',
      'report',
      'replay',
      'sandbox',
      'profile',
      'validate',
      'demo',
    ])
      expect(help.stdout).toMatch(new RegExp(`^ {2}${command}\\b`, 'm'));
    const run = await program('run', '--help');
    expect(run).toMatchObject({ exitCode: 0, stderr: '' });
    for (const option of ['--profile', '--headless', '--confirm', '--backup', '--set', '--json'])
      expect(run.stdout).toContain(option);
  });
});

describe('what was typed wrongly', () => {
  test.each([
    ['an unknown option', ['run', 'whole-cluster-lost', '--headles'], "unknown option '--headles'"],
    ['a missing argument', ['run'], "missing required argument 'scenario'"],
    ['an unknown command below a command', ['runs', 'lst'], "unknown command 'lst'"],
    ['a number that is none', ['sandbox', 'up', '--memories', 'many'], 'a whole number is needed'],
    ['an unknown scenario', ['whole-cluster-list'], 'There is no scenario "whole-cluster-list"'],
    ['an unknown run', ['report', 'nothing'], 'There is no run "nothing"'],
    ['an unknown sandbox', ['sandbox', 'profile', '--name', 'nothing'], 'There is no sandbox "nothing"'],
  ])('%s: exit code 2', async (_what, args, words) => {
    expectRefusal(await program(...args), 2, words);
  });

  test('an unknown scenario on a known cluster names the scenarios that there are', async () => {
    const profile = fileOf(profileOf([1, 1, 1, 1]));
    for (const args of [
      ['run', 'nothing', '--headless', '--profile', profile],
      ['plan', 'nothing', '--profile', profile],
    ])
      expectRefusal(await program(...args), 2, 'There is no scenario "nothing"', 'whole-cluster-lost');
  });

  test('a parameter that no step has: exit code 2', async () => {
    const profile = fileOf(profileOf([1, 1, 1, 1]));
    const plan = (set: string) => program('plan', 'whole-cluster-lost', '--profile', profile, '--set', set);
    expectRefusal(await plan('nonsense'), 2, '--set nonsense is not of the form step.param=value');
    expectRefusal(await plan('nothing.strategy=swap'), 2, '--set names the step "nothing"');
    expectRefusal(await plan('restore-postgres.strategy=slowly'), 2, 'strategy');
  });
});

describe('the profile', () => {
  const plan = (profile: string) => program('plan', 'whole-cluster-lost', '--profile', profile);

  test('a missing one: exit code 2, and how to get one', async () => {
    expectRefusal(await plan('nowhere'), 2, 'There is no profile "nowhere"', 'profile add');
    expectRefusal(await program('profile', 'add', join(work, 'nowhere.yaml')), 2, 'Cannot read', 'nowhere.yaml');
  });

  test('without any: exit code 2, and how to try it out', async () => {
    expectRefusal(await program('plan', 'whole-cluster-lost'), 2, 'No cluster was named', '--profile FILE.yaml');
  });

  test('a fault of the YAML is told with file, line and column', async () => {
    const file = fileOf(['name: acme', 'postgres: { url: postgres://novamem@db/novamem', 'qdrant: {}']);
    expectRefusal(await plan(file), 2, 'cannot be used');
    expect((await plan(file)).stderr).toMatch(new RegExp(`${file}:[23]:\\d+: \\S`));
  });

  test.each([
    ['an unknown key', ['backup: [ /backups ]'], 'backup:', 'unknown key "backup"'],
    ['a value of another kind', ['production: perhaps'], 'perhaps', 'production: '],
    ['an unknown driver', ['services:', '  qdrant: { driver: magic, stop: b }'], 'magic', 'services.qdrant'],
    [
      'a driver without its stop',
      ['services:', '  qdrant: { driver: command, start: a }'],
      '{ driver',
      'services.qdrant.stop',
    ],
  ])('%s is told with file, line and column', async (_what, more, at, words) => {
    const file = fileOf(profileOf([1, 1, 1, 1], more));
    expectRefusal(await plan(file), 2, `${placeOf(at, file)}: ${words}`);
  });

  test('a password as a value is refused, and not repeated', async () => {
    const asValue = fileOf([
      'name: acme',
      'postgres: { url: "postgres://novamem@db/novamem", passwordFrom: hunter2-or-so }',
      'qdrant: { url: "http://qdrant:6333" }',
      'falkordb: { url: "redis://graph:6379" }',
    ]);
    const inUrl = fileOf([
      'name: acme',
      'postgres: { url: "postgres://novamem:hunter2-or-so@db/novamem" }',
      'qdrant: { url: "http://qdrant:6333" }',
      'falkordb: { url: "redis://graph:6379" }',
    ]);
    for (const [file, at, words] of [
      [asValue, 'hunter2', 'a secret is a reference, never a value'],
      [inUrl, '"postgres:', 'holds a password; take it out and add passwordFrom'],
    ] as const) {
      const ended = await plan(file);
      expectRefusal(ended, 2, placeOf(at, file), words);
      expect(ended.stderr).not.toContain('hunter2');
    }
  });

  test('a reference to a variable that is not set names the variable', async () => {
    const file = fileOf([
      ...profileOf([1, 1, 1, 1]).filter((line) => !line.startsWith('postgres')),
      'postgres: { url: "postgres://novamem@db/novamem", passwordFrom: env:NOT_SET_ANYWHERE }',
    ]);
    expectRefusal(await plan(file), 2, 'the variable NOT_SET_ANYWHERE, which is not set');
  });

  test('one that was added is remembered and used', async () => {
    const file = fileOf(profileOf([1, 1, 1, 1]));
    const separate = { environment: { NOVAMEM_RUNBOOK_HOME: join(work, 'home-of-its-own') } };
    expect(await runProgram(['profile', 'add', file], separate)).toMatchObject({ exitCode: 0, stderr: '' });
    const list = await runProgram(['profile', 'list'], separate);
    expect(list.stdout).toContain(`nobody-home (current)  ${file}`);
    expect((await runProgram(['profile', 'show'], separate)).stdout).toContain('name: nobody-home\n');
  });
});

describe('validate', () => {
  const runbook = (...steps: string[]) => [
    'title: Mine',
    'when: Always.',
    'outcome: Good.',
    ...(steps.length === 0 ? ['steps: []'] : ['steps:', ...steps.map((step) => `  - ${step}`)]),
  ];
  const stop = '{ id: stop, uses: service.stop, with: { service: novamem }, why: So. }';

  test('a good runbook: exit code 0', async () => {
    const file = fileOf(runbook(stop));
    expect(await program('validate', file)).toEqual({ exitCode: 0, stdout: `${file}: valid, 1 step\n`, stderr: '' });
  });

  test('all that come with the program are good', async () => {
    const ended = await program('validate', '--all');
    expect(ended.exitCode, ended.stdout).toBe(0);
  });

  test.each([
    ['an unknown key', [stop.replace('why', 'neds: [], why')], 'neds', 'unknown key "neds"'],
    [
      'an unknown kind',
      [stop.replace('service.stop', 'service.halt')],
      'service.halt',
      'unknown step kind "service.halt"',
    ],
    ['a parameter of the wrong kind', [stop.replace('novamem', 'redis')], 'redis', 'service: '],
    ['an unknown parameter', [stop.replace('service: n', 'speed: 3, service: n')], 'speed', 'unknown key "speed"'],
    ['a missing parameter', [stop.replace('{ service: novamem }', '{}')], '{}', 'service: '],
    ['a missing why', [stop.replace(', why: So.', '')], '{ id', 'steps.0.why: '],
    [
      'a need that is no step',
      [stop.replace('why', 'needs: [nothing], why')],
      'nothing',
      'needs "nothing", but there',
    ],
    ['a step that needs itself', [stop.replace('why', 'needs: [stop], why')], 'stop], why', '"stop" needs itself'],
    ['an id that is used twice', [stop, stop], 'stop, uses', 'the step id "stop" is used twice'],
    [
      'a cycle',
      [
        stop.replace('why', 'needs: [again], why'),
        stop.replace('stop', 'again').replace('why', 'needs: [stop], why'),
      ],
      'needs: [again]',
      'these steps need each other in a circle: stop, again',
    ],
    ['no steps', [], '[]', 'steps: a runbook has at least one step'],
  ])('%s: exit code 2, with file, line and column', async (_what, steps, at, words) => {
    const file = fileOf(runbook(...steps));
    const ended = await program('validate', file);
    expect(ended).toMatchObject({ exitCode: 2, stderr: '' });
    expect(ended.stdout).toContain(`${placeOf(at, file)}: ${words}`);
  });

  const profile = [
    'name: acme',
    'postgres: { url: "postgres://novamem@db:5432/novamem" }',
    'qdrant: { url: "http://qdrant:6333" }',
    'falkordb: { url: "redis://graph:6379" }',
  ];
  test('a good profile: exit code 0', async () => {
    const file = fileOf(profile);
    expect(await program('validate', file)).toEqual({
      exitCode: 0,
      stdout: `${file}: valid, the profile acme\n`,
      stderr: '',
    });
  });

  test.each([
    ['a password in a URL', 'novamem@db', 'novamem:hunter2@db', '"postgres://', 'postgres.url: holds a password'],
    ['an unknown key', 'qdrant: {', 'qdrant: { port: 1,', 'port: 1', 'unknown key "port"'],
    ['half a TLS pair', 'redis:', 'rediss:', '/c.pem', 'falkordb.certFile: needs keyFile'],
  ])('a profile with %s: exit code 2, with file, line and column', async (_what, text, instead, at, words) => {
    const lines = profile.map((line) =>
      line.replace(text, instead).replace(/(rediss.*") \}/, '$1, certFile: /c.pem }'),
    );
    const file = fileOf(lines);
    const ended = await program('validate', file);
    expect(ended).toMatchObject({ exitCode: 2, stderr: '' });
    expect(ended.stdout).toContain(`${placeOf(at, file)}: ${words}`);
    expect(ended.stdout).not.toContain('hunter2');
  });

  test('broken YAML, and no file: exit code 2', async () => {
    const file = fileOf(['title: "Mine', 'steps: []']);
    const broken = await program('validate', file);
    expect(broken).toMatchObject({ exitCode: 2, stderr: '' });
    expect(broken.stdout).toMatch(new RegExp(`^${file}:\\d+:\\d+: \\S`));
    expectRefusal(await program('validate'), 2, 'No runbook, lesson or profile was named');
    expectRefusal(await program('validate', join(work, 'nowhere.yaml')), 2, 'Cannot read');
  });

  test('a runbook with a fault is not run', async () => {
    const file = fileOf(runbook(stop.replace('service.stop', 'service.halt')));
    const profile = fileOf(profileOf([1, 1, 1, 1]));
    const run = await program('run', file, '--headless', '--profile', profile);
    expectRefusal(run, 2, `${placeOf('service.halt', file)}: unknown step kind "service.halt"`);
  });
});

describe('train', () => {
  test('off a terminal no lesson is opened, and what can be done instead is said', async () => {
    expectRefusal(await program('train', 'first-night'), 2, 'train first-night --play right');
    expectRefusal(await program('train', 'no-such-lesson'), 2, 'There is no lesson "no-such-lesson"');
    expectRefusal(await program('train', '--play', 'right'), 2, 'Which lesson is to be played was not said');
  });

  test('the list, the history and the certificate of somebody who has taken none', async () => {
    const listed = await program('train', '--list', '--as', 'ana');
    expect(listed.stdout).toMatch(/^first-night +first +10 min +never taken +Your first night on call$/m);
    expect((await program('train', '--history', '--as', 'ana')).stdout).toContain('ana has taken no lesson yet');
    const { stdout } = await program('train', '--certificate', '--as', 'ana');
    expect(stdout).toMatch(/^# Recovery training: ana\n\n0 of \d+ lessons passed/);
  });

  test('a faulty lesson of one’s own is told with its place, and keeps no other away', async () => {
    const own = join(work, 'home', 'lessons');
    mkdirSync(own, { recursive: true });
    const file = join(own, 'mine.yaml');
    writeFileSync(file, 'title: Mine\ndisaster: rain\n');
    const listed = await program('train', '--list');
    rmSync(own, { recursive: true });
    expect(listed.stderr).toContain(`${file}:1:1: `);
    expect(listed.stdout).toContain('first-night');
  });
});

describe('a cluster of which nothing answers', () => {
  let profile: string;
  let backup: string;

  beforeAll(async () => {
    const backups = join(work, 'backups');
    profile = fileOf(profileOf(await freePorts(4), [`backups: [ ${backups} ]`]));
    backup = join(backups, 'loose');
    mkdirSync(backup, { recursive: true });
    writeFileSync(join(backup, 'dump.rdb'), 'REDIS0011 and no more');
  });

  const run = (...more: string[]) =>
    program('run', 'whole-cluster-lost', '--headless', '--profile', profile, '--backup', backup, ...more);

  test('run without --confirm, or with another name: exit code 3, and nothing is recorded', async () => {
    expectRefusal(await run(), 3, 'nobody has confirmed it', '--confirm nobody-home');
    expectRefusal(await run('--confirm', 'somebody'), 3, '--confirm says "somebody"', '"nobody-home"');
    expect((await program('runs', 'list')).stdout).toBe('No run is recorded yet.\n');
  });

  test('off a terminal the terminal app is not opened', async () => {
    expectRefusal(await program('whole-cluster-lost', '--profile', profile), 2, 'needs a terminal', '--headless');
  });

  test('a backup set that is not there: exit code 2', async () => {
    const plan = (wanted: string) => program('plan', 'whole-cluster-lost', '--profile', profile, '--backup', wanted);
    expectRefusal(await plan('nothing'), 2, 'There is no backup set "nothing"', 'seen: loose');
    expectRefusal(await plan(join(work, 'nowhere')), 2, 'There is no backup set at');
  });

  test('plan says what would block the run; the runs and the report of it can be read', async () => {
    const separate = { environment: { NOVAMEM_RUNBOOK_HOME: join(work, 'home-of-a-plan') } };
    const ask = (...args: string[]) => runProgram(args, separate);
    const planned = await ask('plan', 'whole-cluster-lost', '--profile', profile, '--backup', backup);
    expect(planned).toMatchObject({ exitCode: 1, stderr: '' });
    expect(planned.stdout).toContain('does not answer');
    expect(planned.stdout).toMatch(/would block this run\. Nothing was touched\.\n$/);

    const listed = await ask('runs', 'list');
    expect(listed).toMatchObject({ exitCode: 0, stderr: '' });
    expect(listed.stdout).toContain('nobody-home');
    const [recorded] = JSON.parse((await ask('runs', 'list', '--json')).stdout) as { id: string; mode: string }[];
    expect(recorded!.mode).toBe('dry-run');
    expect(await ask('runs', 'verify', recorded!.id)).toMatchObject({ exitCode: 0, stderr: '' });
    expect(await ask('runs', 'show', 'latest')).toMatchObject({ exitCode: 0, stderr: '' });
    for (const format of ['md', 'html', 'json']) {
      const report = await ask('report', 'latest', '--format', format);
      expect(report).toMatchObject({ exitCode: 0, stderr: '' });
      expect(report.stdout).toContain('nobody-home');
    }
    expectRefusal(await ask('report', 'latest', '--format', 'docx'), 2, 'There is no report format "docx"');
  });

  test('a confirmed run fails before it touches anything: exit code 1, and its journal is whole', async () => {
    const separate = { environment: { NOVAMEM_RUNBOOK_HOME: join(work, 'home-of-a-run') } };
    const args = ['run', 'whole-cluster-lost', '--headless', '--json', '--profile', profile, '--backup', backup];
    const ended = await runProgram([...args, '--confirm', 'nobody-home'], separate);
    expect(ended).toMatchObject({ exitCode: 1, stderr: '' });
    const events = ended.stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(events[0]).toMatchObject({ type: 'run.started', profile: 'nobody-home', mode: 'live' });
    expect(events.at(-1)).toMatchObject({ type: 'run.finished', outcome: 'failed' });
    expect(events.filter((event) => event.type === 'step.started')).toEqual([]);
    expect((await runProgram(['runs', 'verify', 'latest'], separate)).exitCode).toBe(0);
  });
});

describe('how the program is started', () => {
  test('from a clone that is not built: it says so, and how to build it', async () => {
    const clone = mkdtempSync(join(work, 'clone-'));
    for (const file of ['package.json', 'bin/novamem-runbook.js', 'scripts/require-node.cjs']) {
      mkdirSync(dirname(join(clone, file)), { recursive: true });
      copyFileSync(join(ROOT, file), join(clone, file));
    }
    const ended = await runFile(process.execPath, [join(clone, 'bin/novamem-runbook.js'), 'doctor']);
    expect(ended.exitCode).toBe(2);
    expect(ended.stdout).toBe('');
    expect(ended.stderr).toMatch(
      /^novamem-runbook is not built here\. Nothing was started\. .*npm start -- --help\n$/,
    );
  });

  test('npm start carries only the program’s own output on stdout', async () => {
    const npm = (...args: string[]) => runFile('npm', ['start', '--', ...args], { environment });
    expect(await npm('--version')).toMatchObject({ exitCode: 0, stdout: `${version}\n` });
    expect(await npm('runs', 'list', '--json')).toMatchObject({ exitCode: 0, stdout: '[]\n' });
  });

  const systemNode = '/usr/bin/node';
  test.skipIf(!isOlderNode(systemNode))('an older Node is refused with one line and exit code 2', async () => {
    const ended = await runFile(systemNode, [PROGRAM, '--version'], { environment });
    expect(ended).toMatchObject({ exitCode: 2, stdout: '' });
    expect(ended.stderr).toMatch(/^novamem-runbook needs Node 22\.12 or newer; this is Node \d+\.\d+\.\d+\. .+\n$/);
  });
});

function isOlderNode(file: string): boolean {
  if (!existsSync(file)) return false;
  const found = execFileSync(file, ['--version'], { encoding: 'utf8' });
  const [major, minor] = found.slice(1).split('.').map(Number) as [number, number];
  return major < 22 || (major === 22 && minor < 12);
}
