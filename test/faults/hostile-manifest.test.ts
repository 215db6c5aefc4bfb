import { cpSync, mkdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { attempt, expectHarmless } from '../support/attempt.js';
import type { Measured } from '../support/measure.js';
import { measureCluster } from '../support/measure-cluster.js';
import { runProgram } from '../support/program.js';
import { type RealCluster, realCluster } from '../support/sandbox.js';
import { tempFolder } from '../support/temp.js';

// A manifest is a file that came from elsewhere: whatever it says, nothing outside its folder is read, and nothing is written.

let real: RealCluster;
let before: Measured;
let good: string;
let set: string;

beforeAll(async () => {
  real = await realCluster(200);
  good = (await real.backup()).folder;
  before = await measureCluster(real);
});

beforeEach(() => {
  set = join(tempFolder('hostile'), basename(good));
  cpSync(good, set, { recursive: true });
});

afterEach(async () => {
  expect(await measureCluster(real)).toEqual(before);
});

interface Loose {
  [key: string]: Loose;
}
const file = () => join(set, 'manifest.json');
const read = () => JSON.parse(readFileSync(file(), 'utf8')) as Loose;
/** Changes one value, by its path. */
function put(path: string, value: unknown): void {
  const manifest = read();
  const keys = path.split('.');
  let at = manifest;
  for (const key of keys.slice(0, -1)) at = at[key]!;
  (at as Record<string, unknown>)[keys.at(-1)!] = value;
  writeFileSync(file(), JSON.stringify(manifest));
}
const raw = (text: string | Buffer) => writeFileSync(file(), text);

const ESCAPES = '\u001b]0;owned\u0007\u001b[2J\u009b31m\u202e';
const OUTSIDE = /manifest\.json:\d+:\d+: parts\.\S+: must be a path inside the backup set/;
const MANY = 1_000_000_000;

const REFUSED: [string, () => void, RegExp][] = [
  ['names a dump above it', () => put('parts.postgres.file', '../../etc/passwd'), OUTSIDE],
  ['names a dump by way of itself', () => put('parts.postgres.file', 'postgres/../../x.dump'), OUTSIDE],
  ['names a dump by an absolute path', () => put('parts.postgres.file', '/etc/passwd'), OUTSIDE],
  ['names a snapshot above it', () => put('parts.qdrant.0.file', '../x.snapshot'), OUTSIDE],
  ['names the folder above it', () => put('parts.falkordb.0.file', '..'), OUTSIDE],
  ['names a file with a NUL in it', () => put('parts.postgres.file', 'postgres/a\0b'), OUTSIDE],
  ['names no file', () => put('parts.postgres.file', ''), OUTSIDE],
  ['has text for a number', () => put('parts.postgres.bytes', '4711'), /parts\.postgres\.bytes: expected number/],
  ['has a number below nothing', () => put('parts.postgres.bytes', -1), /parts\.postgres\.bytes: /],
  ['has half a byte', () => put('parts.postgres.bytes', 0.5), /parts\.postgres\.bytes: /],
  [
    'gives two snapshots to one collection',
    () => put('parts.qdrant.1.collection', read().parts!.qdrant![0 as never]!.collection),
    /parts\.qdrant\.1\.collection: has a snapshot already/,
  ],
  ['has no checksum', () => put('parts.postgres.sha256', ''), /parts\.postgres\.sha256: /],
  ['has a moment that is none', () => put('parts.postgres.at', 'yesterday'), /parts\.postgres\.at: /],
  ['is of a later version', () => put('version', 2), /version: /],
  ['has a list for an object', () => put('parts', []), /parts/],
  ['has no parts', () => put('parts', undefined), /parts: /],
  ['is a list', () => raw('[]'), /expected object/],
  ['is null', () => raw('null'), /expected object/],
  ['is empty', () => raw(''), /expected object/],
  ['is cut off', () => raw(readFileSync(file()).subarray(0, 700)), /manifest\.json:\d+:\d+/],
  ['is of another encoding', () => raw(Buffer.from(readFileSync(file(), 'utf8'), 'utf16le')), /manifest/],
  ['is a million brackets', () => raw('['.repeat(1_000_000)), /manifest/],
  ['is an anchor of anchors', () => raw(bomb()), /manifest/],
  ['is larger than any', () => raw(Buffer.alloc(65 * 1024 * 1024, 0x20)), /is larger than 67108864 bytes/],
  ['speaks in escape sequences', () => put('parts.qdrant.0.at', ESCAPES), /parts\.qdrant\.0\.at: /],
  [
    'is a folder',
    () => {
      rmSync(file());
      mkdirSync(file());
    },
    /manifest/,
  ],
];

function bomb(): string {
  const lines = ['a0: &a0 [x, x, x, x, x, x, x, x, x, x]'];
  for (let level = 1; level < 12; level += 1)
    lines.push(`a${level}: &a${level} [${Array.from({ length: 10 }, () => `*a${level - 1}`).join(', ')}]`);
  return lines.join('\n');
}

describe('a manifest is refused that', () => {
  test.each(REFUSED)('%s', async (_what, harm, words) => {
    harm();
    const ended = await attempt(real.cluster.profile, { backup: set });
    expect([ended.outcome, ended.exitCode]).toEqual(['refused', 2]);
    expect(ended.said).toMatch(words);
    expect(ended.said.length).toBeLessThan(5_000);
  });
});

const BLOCKED: [string, () => void, RegExp][] = [
  ['speaks of 10⁹ points', () => put('parts.postgres.bytes', MANY), /the manifest says 1,000,000,000/],
  [
    'names a collection that leads out',
    () => put('parts.qdrant.0.collection', '../../collections'),
    /\.\.\/\.\.\/collections: no collection of this cluster/,
  ],
  [
    'names a collection in escape sequences',
    () => put('parts.qdrant.0.collection', ESCAPES),
    /no collection of this cluster/,
  ],
  [
    'leads out by a link',
    () => {
      const { file: dump } = read().parts!.postgres! as unknown as { file: string };
      rmSync(join(set, dump));
      symlinkSync('/etc/passwd', join(set, dump));
    },
    /dump/,
  ],
];

describe('a run is blocked by a manifest that', () => {
  test.each(BLOCKED)('%s', async (_what, harm, words) => {
    harm();
    const ended = await attempt(real.cluster.profile, { backup: set });
    expect([ended.outcome, ended.exitCode, ended.changes]).toEqual(['failed', 1, []]);
    expect(ended.said).toMatch(words);
    expectHarmless(ended.journal);
  });
});

describe('a set that is in the list of backups', () => {
  const program = (...args: string[]) =>
    runProgram([...args, '--profile', real.places.profile], {
      environment: { NOVAMEM_RUNBOOK_HOME: process.env.NOVAMEM_RUNBOOK_HOME! },
    });

  test('and is hostile is listed with what is wrong with it, and cannot steer the terminal', async () => {
    put('parts.qdrant.0.at', ESCAPES);
    const there = join(real.places.backups, `20200101T000000Z${ESCAPES}`);
    renameSync(set, there);
    const listed = await program('backups', 'list');
    rmSync(there, { recursive: true });
    expect(listed.exitCode).toBe(0);
    expect(listed.stdout).toMatch(/20200101T000000Z.*cannot|manifest/);
    expectHarmless(listed.stdout + listed.stderr);
  });

  test('and leads out is not read by backups verify', async () => {
    put('parts.postgres.file', '../../../../etc/passwd');
    const verified = await program('backups', 'verify', set);
    expect(verified.exitCode).toBe(2);
    expect(verified.stderr).toMatch(OUTSIDE);
  });
});
