import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ForeignCluster } from '../support/foreign-cluster.js';
import { cutAppendOnlyFile, loseFalkordb, loseQdrant } from '../support/foreign-damage.js';
import { ForeignProgram, wordsOf } from '../support/foreign-program.js';
import { runFile } from '../support/program.js';

// On a cluster that the sandbox did not make, what is reconstructible is really lost and brought back by the real program, from
// the program's own backup set, from the loose files of the handbook's commands, and without any backup.

const GRAPH = 'novamem';

let cluster: ForeignCluster;
let program: ForeignProgram;

beforeAll(async () => {
  cluster = await ForeignCluster.start(600);
  program = new ForeignProgram(cluster);
});

afterAll(async () => {
  await cluster?.stop();
  program?.remove();
});

/** What Postgres knows of the memories, but for when each was embedded and touched last. */
async function contents(): Promise<unknown> {
  return cluster.postgres(async (client) => {
    const { rows } = await client.query(
      `SELECT count(*)::int, sum(hashtextextended((to_jsonb(m) - 'embedded_at' - 'updated_at')::text, 0)::numeric)::text AS sum
         FROM memory_entries m`,
    );
    return rows[0];
  });
}

/** Every relationship with its two ends, as far as Postgres knows it too. */
async function relationships(): Promise<string[]> {
  return cluster.redis(async (redis) => {
    const [, rows] = (await redis.call(
      'GRAPH.RO_QUERY',
      GRAPH,
      'MATCH (a:Memory)-[r:RELATES]->(b:Memory) RETURN a.id, a.user, a.project, r.kind, r.strength, b.id',
    )) as [unknown, unknown[][]];
    return rows.map((row) => JSON.stringify(row)).sort();
  });
}

describe('a backup of a foreign cluster', () => {
  test('holds every part with its checksum, and its dump is one that pg_restore reads', async () => {
    const { profile } = await program.backUp('a set');
    const root = /^backups:\n {2}- (.+)$/m.exec(readFileSync(profile, 'utf8'))![1]!;
    const [id] = readdirSync(root);
    const set = join(root, id!);
    const { parts } = JSON.parse(readFileSync(join(set, 'manifest.json'), 'utf8')) as {
      parts: Record<'qdrant' | 'falkordb', Part[]> & { postgres: Part };
    };
    const all = [parts.postgres, ...parts.qdrant, ...parts.falkordb];
    expect(all.map(({ file }) => [file, sha256Of(join(set, file))])).toEqual(
      all.map(({ file, sha256 }) => [file, sha256]),
    );
    expect(parts.qdrant).toHaveLength(Object.keys((await cluster.measure()).collections).length);
    const listed = await runFile(join(cluster.binaries.postgres, 'pg_restore'), [
      '-l',
      join(set, parts.postgres.file),
    ]);
    expect(listed.stdout).toContain('TABLE DATA Reports Daily "Totals" novamem');
    const verified = await program.run('backups', 'verify', id!, '--profile', profile);
    expect(verified.exitCode, wordsOf(verified)).toBe(0);
    expect(await program.leaks(verified)).toEqual([]);
  });
});

test('a drill of it brings everything back beside a stand-in, which cannot speak for a real novamem: an exception', async () => {
  const { profile } = await program.backUp('a set');
  const root = /^backups:\n {2}- (.+)$/m.exec(readFileSync(profile, 'utf8'))![1]!;
  const [id] = readdirSync(root);
  const manifest = join(root, id!, 'manifest.json');
  // As a real novamem would have had it recorded: with users that no stand-in knows.
  const { goldenSearches: _, ...kept } = JSON.parse(readFileSync(manifest, 'utf8')) as Record<string, unknown>;
  writeFileSync(manifest, JSON.stringify({ ...kept, goldenSearches: [], goldenSearchesBy: 'novamem' }));
  const ended = await program.run('drill', '--profile', profile, '--backup', join(root, id!));
  expect(ended.exitCode, wordsOf(ended)).toBe(4);
  expect(ended.stdout).toMatch(/recall: scores are not proven: a real novamem recorded them, and a stand-in answers/);
  expect(ended.stdout).toMatch(/Evidence: \d+ comparisons, all equal/);
  expect(await program.leaks(ended)).toEqual([]);
});

interface Part {
  file: string;
  sha256: string;
}
const sha256Of = (file: string) => createHash('sha256').update(readFileSync(file)).digest('hex');

describe('do the stores of a foreign cluster agree?', () => {
  const check = (answer: 'keep' | 'delete') =>
    program.recover('cross-check', cluster.profileWith([]), { 'reconcile-choice.answer': answer });

  test('vectors and nodes of memories that were deleted are told, kept, and deleted when that is chosen', async () => {
    const before = await cluster.measure();
    const deleted = await cluster.postgres(
      async (client) =>
        (
          await client.query<{ id: string }>(
            `DELETE FROM memory_entries WHERE id IN (SELECT id FROM memory_entries ORDER BY id LIMIT 25) RETURNING id`,
          )
        ).rowCount!,
    );
    const strayed = await cluster.measure();
    const kept = await check('keep');
    expect(kept.exitCode, wordsOf(kept)).toBe(0);
    expect(kept.stdout).toContain('25 stray vectors, 25 stray nodes');
    expect(await cluster.measure()).toEqual(strayed);

    const ended = await check('delete');
    expect(ended.exitCode, wordsOf(ended)).toBe(0);
    const after = await cluster.measure();
    expect(after.tables).toEqual(strayed.tables);
    expect(pointsIn(after)).toBe(pointsIn(before) - deleted);
    expect(after.nodes.Memory).toBe(before.nodes.Memory! - deleted);
    expect(await program.leaks(kept, ended)).toEqual([]);
  });

  test('a memory without its vector is a loss: exit code 1, whatever is chosen', async () => {
    const [collection] = Object.keys((await cluster.measure()).collections);
    const path = `/collections/${collection}/points`;
    const { points } = await cluster.askQdrant<{ points: { id: string }[] }>('POST', `${path}/scroll`, {
      limit: 3,
      with_payload: true,
      with_vector: true,
    });
    await cluster.askQdrant('POST', `${path}/delete?wait=true`, { points: points.map((point) => point.id) });
    const ended = await check('keep');
    await cluster.askQdrant('PUT', `${path}?wait=true`, { points });
    expect(ended.exitCode, wordsOf(ended)).toBe(1);
    expect(ended.stdout).toMatch(/missing vectors\W.*3/);
  });
});

const pointsIn = ({ collections }: { collections: Record<string, { points: number }> }) =>
  Object.values(collections).reduce((sum, one) => sum + one.points, 0);

describe('Qdrant of a foreign cluster', () => {
  test.each([
    ['a set', false],
    ['loose files', true],
  ] as const)('lost, is back from %s (lost under the running server: %s)', async (source, running) => {
    const before = await cluster.measure();
    const { profile, named } = await program.backUp(source);
    loseQdrant(cluster, running);
    const ended = await program.recover('qdrant-lost', profile, { 'way.answer': 'snapshots' }, ...named);
    expect(ended.exitCode, wordsOf(ended)).toBe(0);
    expect(await cluster.measure()).toEqual(before);
    expect(await program.leaks(ended)).toEqual([]);
  });

  test('lost without any backup, is embedded again through the queue', async () => {
    const [before, held] = [await cluster.measure(), await contents()];
    loseQdrant(cluster, false);
    const profile = cluster.profileWith([]);
    const ended = await program.recover('qdrant-lost', profile, { 'way.answer': 'queue' });
    expect(ended.exitCode, wordsOf(ended)).toBe(0);
    expect((await cluster.measure()).collections).toEqual(before.collections);
    expect(await contents()).toEqual(held);
    expect(await program.leaks(ended)).toEqual([]);
  });
});

describe('FalkorDB of a foreign cluster', () => {
  const losses = { 'was cut off': cutAppendOnlyFile, 'is empty': loseFalkordb };

  test.each([
    ['a set', 'was cut off'],
    ['loose files', 'is empty'],
  ] as const)('is back from %s after its file or folder %s', async (source, loss) => {
    const before = await cluster.measure();
    const { profile, named } = await program.backUp(source);
    losses[loss](cluster);
    const ended = await program.recover('falkordb-lost', profile, { 'way.answer': 'files' }, ...named);
    expect(ended.exitCode, wordsOf(ended)).toBe(0);
    expect(await cluster.measure()).toEqual(before);
    expect(await program.leaks(ended)).toEqual([]);
  });

  test('is never to be started unseen, and is rebuilt from Postgres without any backup', async () => {
    const [before, edges] = [await cluster.measure(), await relationships()];
    const profile = cluster.profileWith([]);
    cluster.drive('novamem', 'stop');
    cutAppendOnlyFile(cluster);
    const damaged = await program.run('diagnose', '--profile', profile);
    expect(damaged.exitCode).toBe(1);
    // Its largest file is a base (an RDB) once the server has rewritten it, and a log of commands before.
    expect(damaged.stdout).toMatch(/its appendonlydir is damaged: .*it (was cut off|ends inside the command)/);
    expect(damaged.stdout).toContain(`novamem-runbook plan falkordb-lost --profile ${profile}`);
    expect(damaged.stdout).not.toMatch(/falkordb does not run.*Start it first/);
    loseFalkordb(cluster);
    const lost = await program.run('diagnose', '--profile', profile);
    expect(lost.stdout).toContain('1. falkordb-lost (certain)');

    const ended = await program.recover('falkordb-lost', profile, { 'way.answer': 'rebuild' });
    expect(ended.exitCode, wordsOf(ended)).toBe(0);
    expect(await relationships()).toEqual(edges);
    const { edges: _validity, ...after } = await cluster.measure();
    expect(before).toMatchObject(after);
    expect(await program.leaks(damaged, lost, ended)).toEqual([]);
  });
});
