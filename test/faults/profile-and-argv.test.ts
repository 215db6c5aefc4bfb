import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { listRuns } from '../../src/engine/runs.js';
import { expectHarmless, expectNoSecret } from '../support/attempt.js';
import type { Measured } from '../support/measure.js';
import { measureCluster } from '../support/measure-cluster.js';
import { runProgram } from '../support/program.js';
import { type RealCluster, realCluster } from '../support/sandbox.js';
import { tempFolder } from '../support/temp.js';

// What is typed wrong, and profiles that are no profiles: the program as a script calls it, its exit code and what it says.

let real: RealCluster;
let before: Measured;

beforeAll(async () => {
  real = await realCluster(200);
  await real.backup();
  before = await measureCluster(real);
});

afterAll(async () => {
  expect(await measureCluster(real)).toEqual(before);
});

const program = (...args: string[]) =>
  runProgram(args, { environment: { NOVAMEM_RUNBOOK_HOME: process.env.NOVAMEM_RUNBOOK_HOME! } });
const rescue = (...args: string[]) =>
  program('run', 'whole-cluster-lost', '--headless', '--profile', real.places.profile, ...args);

const TYPED: [string, string[], number, RegExp][] = [
  ['nobody confirms', [], 3, /nobody has confirmed it\.\nNothing was changed\.\nNext: .*--confirm test-/],
  ['another name', ['--confirm', 'acme-prod'], 3, /--confirm says "acme-prod", but this cluster is called "test-/],
  ['a name in other letters', ['--confirm', 'TEST'], 3, /but this cluster is called/],
  ['an empty name', ['--confirm', ''], 3, /--confirm says ""/],
  ['no such step', ['--confirm', 'CLUSTER', '--set', 'restore-everything.x=1'], 2, /restore-everything/],
  ['no such parameter', ['--confirm', 'CLUSTER', '--set', 'restore-postgres.strateegy=clean'], 2, /strateegy/],
  ['a value of another kind', ['--confirm', 'CLUSTER', '--set', 'restore-qdrant.atOnce=many'], 2, /atOnce/],
  ['10⁹ at once', ['--confirm', 'CLUSTER', '--set', 'restore-qdrant.atOnce=1000000000'], 2, /atOnce/],
  ['no equals sign', ['--confirm', 'CLUSTER', '--set', 'restore-qdrant'], 2, /not of the form step\.param=value/],
  [
    'half of a list',
    ['--confirm', 'CLUSTER', '--set', 'restore-qdrant.collections=[a'],
    2,
    /the value cannot be read/,
  ],
  ['an inherited name', ['--confirm', 'CLUSTER', '--set', '__proto__.polluted=yes'], 2, /__proto__/],
  [
    'no such backup',
    ['--confirm', 'CLUSTER', '--backup', '20200101T000000Z'],
    2,
    /There is no backup set "20200101T000000Z" below/,
  ],
  [
    'a backup that is no folder',
    ['--confirm', 'CLUSTER', '--backup', '/etc/passwd'],
    2,
    /no backup set at \/etc\/passwd: it is not a folder/,
  ],
  [
    'a backup that leads out',
    ['--confirm', 'CLUSTER', '--backup', '../../../../nowhere'],
    2,
    /There is no backup set at/,
  ],
  ['an empty backup', ['--confirm', 'CLUSTER', '--backup', ''], 2, /There is no backup set ""/],
  ['no backup at all', ['--confirm', 'CLUSTER', '--backup', 'none'], 2, /cannot do without/],
  [
    'a backup in escape sequences',
    ['--confirm', 'CLUSTER', '--backup', '\u001b[2J\u009b31m'],
    2,
    /There is no backup set/,
  ],
  ['an option that is none', ['--froce'], 2, /unknown option '--froce'/],
  ['a difference that is none', ['--accept', 'everything'], 2, /one of cluster, backup, runbook/],
];

describe('a rescue for which is typed', () => {
  test.each(TYPED)('%s', async (_what, args, exitCode, words) => {
    const runs = listRuns().length;
    const ended = await rescue(...args.map((one) => (one === 'CLUSTER' ? real.cluster.name : one)));
    expect(ended.stdout + ended.stderr).toMatch(words);
    expect([ended.exitCode, ended.stdout]).toEqual([exitCode, '']);
    expectHarmless(ended.stderr);
    expect(listRuns()).toHaveLength(runs);
  });
});

const PROFILES: [string, (whole: string) => string | Buffer, RegExp][] = [
  ['an unknown key', (whole) => `${whole}\nprodcution: true\n`, /:\d+:1: unknown key "prodcution"/],
  ['the same key twice', (whole) => `${whole}\nname: other\n`, /unique/],
  ['no Postgres', (whole) => whole.replace('postgres:', 'postgress:'), /postgress/],
  ['a URL that is none', (whole) => whole.replace(/postgres:\/\/\S+/, 'db-1'), /postgres\.url: not a URL/],
  [
    'a URL of another kind',
    (whole) => whole.replace(/redis:\/\/\S+/, 'file:///etc/passwd'),
    /falkordb\.url: begins with file:/,
  ],
  [
    'a password in a URL',
    (whole) => whole.replace('postgres://novamem@', 'postgres://novamem:hunter2@'),
    /postgres\.url: holds a password/,
  ],
  [
    'a secret as a value',
    (whole) => whole.replace(/passwordFrom: file:\S+/, 'passwordFrom: hunter2'),
    /a secret is a reference, never a value/,
  ],
  [
    'a secret file that is not there',
    (whole) => whole.replace(/passwordFrom: file:\S+/, 'passwordFrom: file:/nowhere/secret'),
    /is to come from the file \/nowhere\/secret/,
  ],
  [
    'a secret variable that is not set',
    (whole) => whole.replace(/passwordFrom: file:\S+/, 'passwordFrom: env:NOT_SET_HERE'),
    /from the variable NOT_SET_HERE, which is not set/,
  ],
  [
    'a secret command that fails',
    (whole) => whole.replace(/passwordFrom: file:\S+/, 'passwordFrom: "command:echo no such vault >&2; exit 4"'),
    /ended with 4: no such vault/,
  ],
  ['a name that leads out', (whole) => whole.replace(/^name: .*/m, 'name: ../../etc'), /name: letters, digits/],
  ['an anchor of anchors', () => bomb(), /alias/i],
  ['a tag that is code', (whole) => `${whole}\nbackups: !!js/function "process.exit()"\n`, /:\d+:\d+/],
  ['tabs', () => 'name:\n\t- x', /:\d+:\d+/],
  ['nothing', () => '', /expected object/],
  ['bytes that are no text', () => Buffer.from([0xff, 0xfe, 0x00, 0x80, 0x1b, 0x5b, 0x32, 0x4a]), /cannot be used/],
  ['2 MiB', (whole) => `${whole}\n# ${'x'.repeat(2 * 1024 * 1024)}\n`, /larger than 1 MiB/],
];

function bomb(): string {
  const lines = ['a0: &a0 [x, x, x, x, x, x, x, x, x, x]'];
  for (let level = 1; level < 12; level += 1)
    lines.push(`a${level}: &a${level} [${Array.from({ length: 10 }, () => `*a${level - 1}`).join(', ')}]`);
  return lines.join('\n');
}

describe('a profile is refused that has', () => {
  test.each(PROFILES)('%s', async (_what, change, words) => {
    const file = join(tempFolder('profile'), 'profile.yaml');
    writeFileSync(file, change(readFileSync(real.places.profile, 'utf8')));
    const args = ['run', 'whole-cluster-lost', '--headless', '--profile', file, '--confirm', real.cluster.name];
    const ended = await program(...args);
    expect(ended.stderr).toMatch(words);
    expect([ended.exitCode, ended.stdout]).toEqual([2, '']);
    expect(ended.stderr).toMatch(/\nNothing was changed\./);
    expect(ended.stderr).not.toContain('hunter2');
    expectHarmless(ended.stderr);
    expectNoSecret(real, ended.stderr);
  });

  test.each<[string, string, RegExp]>([
    ['no file', 'nowhere.yaml', /There is no profile ".*nowhere\.yaml"/],
    ['a folder', 'folder.yaml', /There is no profile ".*folder\.yaml"/],
  ])('%s', async (_what, name, words) => {
    const folder = tempFolder('profile');
    mkdirSync(join(folder, 'folder.yaml'));
    const ended = await program('plan', 'whole-cluster-lost', '--profile', join(folder, name));
    expect([ended.exitCode, ended.stdout]).toEqual([2, '']);
    expect(ended.stderr).toMatch(words);
  });
});
