import { existsSync, readdirSync, readFileSync, rmSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { falkordbReset } from '../../../src/steps/falkordb/reset.js';
import { falkordbRestore } from '../../../src/steps/falkordb/restore.js';
import type { BackupSet } from '../../../src/stores/backup-set/backup-set.js';
import { graphContent } from '../../../src/stores/falkordb/graph-content.js';
import { differencesOf, falkordbOf } from '../../support/falkordb.js';
import { findings, follow, perform, type RealCluster, realCluster, unequal } from '../../support/sandbox.js';

let real: RealCluster;
let backup: BackupSet;
let server: ReturnType<typeof falkordbOf>;

beforeAll(async () => {
  real = await realCluster();
  backup = await real.backup();
  server = falkordbOf(real);
});

beforeEach(async () => {
  const { error } = await perform(falkordbRestore, {}, real.context({ backup }));
  if (error) throw error;
});

const params = () => falkordbReset.params.parse({});
const data = (...names: string[]) => join(real.places.falkordbData, ...names);
const EMPTY = { nodes: {}, relationships: {} };

async function emptied(ctx = real.context()) {
  const performed = await perform(falkordbReset, {}, ctx);
  expect(performed.error).toBeUndefined();
  expect(await unequal(falkordbReset, {}, ctx, performed.facts)).toEqual([]);
  expect(await graphContent(server.falkordb, server.falkordb.graph)).toEqual(EMPTY);
  return { ctx, ...performed };
}

const undone = async (ctx: Parameters<typeof perform>[2], facts: object) =>
  expect((await follow(falkordbReset.undo!(params(), ctx, facts))).error).toBeUndefined();

describe('a server with a graph', () => {
  test('is started with an empty one, which it keeps and can write to; an undo brings everything back', async () => {
    await server.cypher(`CREATE (:Visitor {id: 'only here'})`);
    const before = await server.now();
    const { ctx, facts, safetyCopies } = await emptied();
    expect(falkordbReset.conclusion!(facts as never)?.text).toMatch(/^begun empty, .* from Postgres: 600 nodes, /);
    for (const copy of safetyCopies) expect(existsSync(copy.at)).toBe(true);
    await server.cypher(`CREATE (:Memory {id: 'first'})`);
    await server.stop();
    await server.start();
    expect((await graphContent(server.falkordb, 'novamem')).nodes).toEqual({ Memory: 1 });
    await undone(ctx, facts);
    expect(differencesOf(before, await server.now())).toEqual([]);
  });

  test('has what it would lose counted before, by kind and wherever else it is', async () => {
    await server.cypher('MATCH (v:Nothing) DELETE v', 'another');
    await server.cypher('CREATE (:Visitor)', 'another');
    const ctx = real.context({ backup });
    const { destroys } = await falkordbReset.plan(params(), ctx);
    expect(destroys).toEqual([
      expect.stringMatching(/^graph another at redis:.*: 1 node \(of these 1 Visitor\), 0 relationships$/),
      expect.stringMatching(/^graph novamem at redis:.*: 600 nodes, [\d,]+ relationships: [\d,]+ vector_neighbour, /),
    ]);
    const said = await findings(falkordbReset, {}, ctx);
    const counts = String.raw`600 nodes, [\d,]+ relationships: [\d,]+ vector_neighbour, \d+ co_occurs, \d+ co_inferred$`;
    expect(said).toContainEqual(
      expect.stringMatching(new RegExp(`^warning: 600 memories lose their graph hits .*${counts}`)),
    );
    expect(said).toContainEqual(
      expect.stringMatching(new RegExp(`^warning: this way loses of what backup ${backup.id} holds: ${counts}`)),
    );
  });

  test('is not taken for empty once something is in it', async () => {
    const { ctx, facts } = await emptied();
    await server.cypher('CREATE (:Visitor)');
    await server.cypher('CREATE (:Visitor)', 'another');
    expect(await unequal(falkordbReset, {}, ctx, facts)).toEqual([
      'falkordb, graphs: expected 1, found 2 (not expected: another)',
      'falkordb graph novamem, nodes: expected 0, found 1',
    ]);
    expect(await falkordbReset.probe(params(), ctx, facts)).toBe('partial');
  });
});

describe('a server that is down', () => {
  test.each([
    [
      'does not start on its files, since one that the manifest names is missing',
      () => rmSync(data('appendonlydir', baseFile())),
    ],
    ['would cut its files off when it starts', () => truncateSync(data('appendonlydir', baseFile()), 20_000)],
    ['has no folder any more', () => rmSync(data(), { recursive: true })],
  ])('and %s, is started with an empty graph; an undo leaves it down with the files it had', async (_what, damage) => {
    await server.down();
    damage();
    const before = contentsOf(data());
    const { ctx, facts } = await emptied();
    await undone(ctx, facts);
    expect(await server.driver.state()).toBe('stopped');
    expect(contentsOf(data())).toEqual(before);
  });
});

describe('a server whose files were removed while it runs', () => {
  test.each([
    ['the whole folder', () => rmSync(data(), { recursive: true })],
    ['its append-only files', () => rmSync(data('appendonlydir'), { recursive: true })],
  ])('%s: what it holds in memory is copied first, and comes back with an undo', async (_what, damage) => {
    await server.cypher(`CREATE (:Visitor {id: 'only in memory'})`);
    const before = await server.now();
    damage();
    const { ctx, facts, safetyCopies } = await emptied();
    expect(safetyCopies[0]).toMatchObject({ of: 'what FalkorDB held in memory', at: facts.memory });
    await undone(ctx, facts);
    expect(differencesOf(before, await server.now())).toEqual([]);
    await server.stop();
    await server.start();
    expect(differencesOf(before, await server.now())).toEqual([]);
  });
});

test('a reset that is tried again keeps the files of before the first, and undo brings those back', async () => {
  const before = await server.now();
  const first = await emptied();
  await server.cypher(`CREATE (:Memory {id: 'between'})`);
  const ctx = real.context({ runId: first.ctx.runId, earlier: { ...first.facts } });
  const second = await emptied(ctx);
  expect(second.facts.aside).toEqual(first.facts.aside);
  await undone(ctx, { ...first.facts, ...second.facts });
  expect(differencesOf(before, await server.now())).toEqual([]);
});

const baseFile = () => readdirSync(data('appendonlydir')).find((name) => name.includes('.base.'))!;

/** Every file below a folder with its bytes, but not what was moved aside by earlier runs; nothing where it is absent. */
function contentsOf(folder: string): Record<string, string> {
  if (!existsSync(folder)) return {};
  const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter(
    (entry) => entry.isFile() && !join(entry.parentPath, entry.name).includes('/before-'),
  );
  return Object.fromEntries(
    files.map((entry) => {
      const path = join(entry.parentPath, entry.name);
      return [path, readFileSync(path, 'base64')];
    }),
  );
}
