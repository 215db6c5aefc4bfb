import { execFileSync } from 'node:child_process';
import {
  cpSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { sha256Of } from '../../src/hosts/files.js';
import type { Manifest } from '../../src/stores/backup-set/manifest.js';
import { attempt, expectHarmless } from '../support/attempt.js';
import type { Measured } from '../support/measure.js';
import { measureCluster } from '../support/measure-cluster.js';
import { type RealCluster, realCluster } from '../support/sandbox.js';
import { tempFolder } from '../support/temp.js';

// A backup set that is not what it should be is refused while everything is still there, whatever it is that is wrong with it.

let real: RealCluster;
let before: Measured;
let good: string;
/** A copy of the good set, to be damaged. */
let set: string;

beforeAll(async () => {
  real = await realCluster(200);
  good = (await real.backup()).folder;
  before = await measureCluster(real);
});

beforeEach(() => {
  set = join(tempFolder('set'), basename(good));
  cpSync(good, set, { recursive: true });
});

afterEach(async () => {
  expect(await measureCluster(real)).toEqual(before);
});

const manifest = () => JSON.parse(readFileSync(join(set, 'manifest.json'), 'utf8')) as Manifest;
const at = (file: string) => join(set, file);
const dump = () => at(manifest().parts.postgres!.file);
const snapshots = () => manifest().parts.qdrant.map((part) => at(part.file));
const falkordb = (name: RegExp) => at(manifest().parts.falkordb.find((part) => name.test(part.file))!.file);
/** Makes loose files of the set: what nothing vouches for. */
const loose = () => rmSync(at('manifest.json'));
/** Writes a manifest that fits the files as they are now: whoever can change a file can change that, too. */
async function vouch(change: (manifest: Manifest) => void = () => {}): Promise<void> {
  const now = manifest();
  change(now);
  for (const part of [now.parts.postgres!, ...now.parts.qdrant, ...now.parts.falkordb]) {
    part.bytes = statSync(at(part.file)).size;
    part.sha256 = await sha256Of(at(part.file));
  }
  writeFileSync(at('manifest.json'), JSON.stringify(now));
}
const flip = (file: string, where: number) => {
  const bytes = readFileSync(file);
  bytes[where < 0 ? bytes.length + where : where]! ^= 0xff;
  writeFileSync(file, bytes);
};
const halve = (file: string) => truncateSync(file, Math.floor(statSync(file).size / 2));
const swap = (one: string, other: string) => {
  renameSync(one, `${one}.x`);
  renameSync(other, one);
  renameSync(`${one}.x`, other);
};

type Damage = [string, () => unknown, RegExp];

const UNLIKE_ITS_MANIFEST: Damage[] = [
  ['a dump that is cut off', () => halve(dump()), /dump \S+ has [\d,]+ bytes, the manifest says [\d,]+/],
  ['a dump with one other byte', () => flip(dump(), -50), /dump \S+ (is not the one that was backed up|is damaged)/],
  ['no dump', () => rmSync(dump()), /the dump \S+ is not there/],
  ['an empty dump', () => truncateSync(dump(), 0), /has 0 bytes/],
  [
    'a folder in place of the dump',
    () => {
      rmSync(dump());
      mkdirSync(dump());
    },
    /dump/,
  ],
  ['a snapshot that is cut off', () => halve(snapshots()[0]!), /snapshot \S+ has [\d,]+ bytes/],
  ['no snapshot', () => rmSync(snapshots()[1]!), /the snapshot \S+ is not there/],
  [
    'two snapshots that were swapped',
    () => swap(snapshots()[0]!, snapshots()[1]!),
    /snapshot \S+ (has [\d,]+ bytes|is not the one)/,
  ],
  ['an append-only file that is cut off', () => halve(falkordb(/base/)), /the file \S+ has [\d,]+ bytes/],
  ['no append-only manifest', () => rmSync(falkordb(/manifest$/)), /the file \S+ is not there/],
  ['a dump that cannot be read', () => execFileSync('ln', ['-sf', '/proc/self/mem', dump()]), /dump/],
];

describe('a backup set is refused that has', () => {
  test.each(UNLIKE_ITS_MANIFEST)('%s', async (_what, damage, words) => {
    damage();
    const ended = await attempt(real.cluster.profile, { backup: set });
    expect([ended.outcome, ended.exitCode, ended.changes]).toEqual(['failed', 1, []]);
    expect(ended.said).toMatch(words);
  });
});

const LYING: Damage[] = [
  [
    'a dump that is a tar',
    async () => {
      execFileSync('tar', ['-cf', dump(), '-C', set, 'manifest.json']);
      await vouch();
    },
    /the dump \S+ is damaged: pg_restore/,
  ],
  [
    'a dump that is gzip',
    async () => {
      writeFileSync(dump(), execFileSync('gzip', ['-c', dump()], { maxBuffer: 1 << 28 }));
      await vouch();
    },
    /the dump \S+ is damaged: pg_restore/,
  ],
  [
    'a dump that is plain SQL',
    async () => {
      writeFileSync(dump(), 'DROP SCHEMA public CASCADE;\n');
      await vouch();
    },
    /the dump \S+ is damaged: pg_restore/,
  ],
  [
    'a dump that is cut off',
    async () => {
      halve(dump());
      await vouch();
    },
    /the dump \S+ is damaged/,
  ],
  [
    'a dump in a form that is newer than every pg_restore',
    async () => {
      const bytes = readFileSync(dump());
      // PGDMP, then the form's major and minor number.
      bytes[6] = 99;
      writeFileSync(dump(), bytes);
      await vouch();
    },
    /the dump \S+ .*unsupported version \(1\.99\)/,
  ],
  [
    'an RDB that a newer server wrote',
    async () => {
      const bytes = readFileSync(falkordb(/base/));
      bytes.write('0099', 'REDIS'.length);
      writeFileSync(falkordb(/base/), bytes);
      await vouch();
    },
    /this server could not load \S+: Can't handle RDB format version 99/,
  ],
  [
    'an RDB without an end',
    async () => {
      halve(falkordb(/base/));
      await vouch();
    },
    /cut off/,
  ],
  [
    'an increment in the middle of a command',
    async () => {
      writeFileSync(falkordb(/incr/), '*3\r\n$3\r\nSET\r\n$1\r\na\r\n$9\r\nhal');
      await vouch();
    },
    /ends inside the command/,
  ],
  [
    'an append-only manifest that names what is not there',
    async () => {
      writeFileSync(falkordb(/manifest$/), 'file absent.aof seq 1 type b\n');
      await vouch();
    },
    /names absent\.aof, which is absent/,
  ],
  [
    'an append-only manifest that leads out',
    async () => {
      writeFileSync(falkordb(/manifest$/), 'file ../../../../etc/passwd seq 1 type b\n');
      await vouch();
    },
    /not a line of an AOF manifest/,
  ],
  [
    'an append-only manifest that names the folder above',
    async () => {
      writeFileSync(falkordb(/manifest$/), 'file .. seq 1 type b\n');
      await vouch();
    },
    /./,
  ],
];

describe('a backup set is refused whose manifest vouches for', () => {
  test.each(LYING)('%s', async (_what, damage, words) => {
    await damage();
    const ended = await attempt(real.cluster.profile, { backup: set });
    expect([ended.outcome, ended.exitCode, ended.changes]).toEqual(['failed', 1, []]);
    expect(ended.said).toMatch(words);
    expectHarmless(ended.journal);
  });
});

const LOOSE: Damage[] = [
  ['a dump that is cut off', () => halve(dump()), /the dump \S+ is damaged/],
  [
    'a dump of the schema only',
    () => {
      const { postgres } = real.cluster;
      const { environment, secretEnvironment } = postgres.toolEnvironment;
      execFileSync('pg_dump', [...postgres.toolArguments, '--schema-only', '-Fc', '-f', dump(), postgres.database], {
        env: { ...process.env, ...environment, ...secretEnvironment },
      });
    },
    /has tables but no rows in it/,
  ],
  ['no Postgres dump', () => rmSync(dirname(dump()), { recursive: true }), /holds no Postgres dump/],
  ['no snapshot', () => rmSync(dirname(snapshots()[0]!), { recursive: true }), /holds no Qdrant snapshot/],
  ['no graph', () => rmSync(dirname(falkordb(/base/)), { recursive: true }), /holds no FalkorDB data/],
  [
    'a snapshot of a collection of another program',
    () => renameSync(snapshots()[0]!, at('qdrant/other_thing.snapshot')),
    /other_thing: no collection of this cluster/,
  ],
  [
    'a snapshot whose name tells nothing',
    () => renameSync(snapshots()[0]!, at('snap.tgz')),
    /nothing says into which collection snap\.tgz belongs/,
  ],
  [
    'a snapshot whose name leads out',
    () => renameSync(snapshots()[0]!, at('qdrant/..%2f..%2fnovamem_x.snapshot')),
    /no collection of this cluster/,
  ],
  [
    'a snapshot whose name is an escape sequence',
    () => renameSync(snapshots()[0]!, at('qdrant/\u001b[2J\u009b31m.snapshot')),
    /no collection of this cluster/,
  ],
  [
    'an append-only directory without its manifest',
    () => rmSync(falkordb(/manifest$/)),
    /has no manifest: a server would start empty/,
  ],
];

describe('loose files are refused that have', () => {
  test.each(LOOSE)('%s', async (_what, damage, words) => {
    const then = manifest();
    damage();
    if (readdirSync(set).includes('manifest.json')) loose();
    expect(then.version).toBe(1);
    const ended = await attempt(real.cluster.profile, { backup: set });
    expect([ended.outcome, ended.exitCode, ended.changes]).toEqual(['failed', 1, []]);
    expect(ended.said).toMatch(words);
    expectHarmless(ended.journal);
  });

  test('nothing that could be restored', async () => {
    const folder = tempFolder('nothing');
    writeFileSync(join(folder, 'notes.txt'), 'there was a backup here once');
    symlinkSync(dump(), join(folder, 'link.dump'));
    const ended = await attempt(real.cluster.profile, { backup: folder });
    expect([ended.outcome, ended.exitCode]).toEqual(['refused', 2]);
    expect(ended.said).toMatch(/is no backup set: .*\nNothing was changed\.\nNext: /);
  });
});
