import { existsSync, readdirSync, readFileSync, rmSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { falkordbRestore } from '../../src/steps/falkordb/restore.js';
import type { BackupSet } from '../../src/stores/backup-set/backup-set.js';
import { graphContent } from '../../src/stores/falkordb/graph-content.js';
import { inventoryFalkordb } from '../../src/stores/falkordb/inventory.js';
import { search } from '../../src/stores/novamem/search.js';
import { inventoryPostgres } from '../../src/stores/postgres/inventory.js';
import { inventoryQdrant } from '../../src/stores/qdrant/inventory.js';
import { differencesOf, falkordbOf } from '../support/falkordb.js';
import { type Ended, runProgram } from '../support/program.js';
import { perform, type RealCluster, realCluster } from '../support/sandbox.js';

// FalkorDB alone is really lost, and recovered by the real program, without a person.

const RUN_PATIENCE = 120_000;
const TEST_PATIENCE = 150_000;

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

const data = (...names: string[]) => join(real.places.falkordbData, ...names);

const recover = (cluster: RealCluster, ...more: string[]): Promise<Ended> =>
  runProgram(
    [
      'run',
      'falkordb-lost',
      '--headless',
      '--profile',
      cluster.record.name,
      '--confirm',
      cluster.record.name,
      ...more,
    ],
    { timeoutMs: RUN_PATIENCE },
  );
const wordsOf = ({ stdout, stderr }: Ended) => (stdout + stderr).slice(-5_000);

/** Writes a memory as a user does. */
async function remember({ cluster, places }: RealCluster, content: string, namespace: string): Promise<void> {
  const response = await fetch(`${cluster.novamem!.address}/v1/remember`, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${readFileSync(places.secret('novamem'), 'utf8').trim()}`,
      'content-type': 'application/json',
    },
    body: JSON.stringify({ content, namespace }),
  });
  expect(response.status).toBe(201);
}

async function others() {
  return {
    postgres: await inventoryPostgres(real.cluster.postgres),
    qdrant: await inventoryQdrant(real.cluster.qdrant),
  };
}

/** Every way in which the graph is lost here; the other stores are not touched. */
const damages = {
  'an append-only file that is cut off, the server down': async () => {
    await server.down();
    const base = readdirSync(data('appendonlydir')).find((name) => name.includes('.base.'))!;
    truncateSync(data('appendonlydir', base), 20_000);
  },
  'a file missing that the manifest names, so that the server does not start': async () => {
    await server.down();
    const base = readdirSync(data('appendonlydir')).find((name) => name.includes('.base.'))!;
    rmSync(data('appendonlydir', base));
  },
  'its folder gone, the server down': async () => {
    await server.down();
    rmSync(data(), { recursive: true });
  },
  'its folder gone under the running server': async () => rmSync(data(), { recursive: true }),
  'its append-only files gone under the running server': async () =>
    rmSync(data('appendonlydir'), { recursive: true }),
  'the graph deleted': () => server.falkordb.deleteGraph({ change: (_change, act) => act() }, 'novamem'),
  'the graph half overwritten': async () => {
    await server.cypher('MATCH (m:Memory {user: "acme"}) DETACH DELETE m');
    await server.cypher('CREATE (:Visitor {id: "who"})');
  },
};
type Damage = keyof typeof damages;

describe('the files of a backup', () => {
  test.each<Damage>([
    'an append-only file that is cut off, the server down',
    'a file missing that the manifest names, so that the server does not start',
    'its folder gone under the running server',
    'the graph deleted',
  ])(
    'after %s bring back the graph as it was, with the validity of each relationship',
    async (damage) => {
      const [before, rest] = [await server.now(), await others()];
      await damages[damage]();
      const ended = await recover(real, '--set', 'way.answer=files');
      expect(ended.exitCode, wordsOf(ended)).toBe(0);
      expect(differencesOf(before, await server.now())).toEqual([]);
      expect(
        await server.falkordb.query('novamem', 'MATCH ()-[r]->() WHERE r.validFrom IS NULL RETURN count(r)'),
      ).toEqual([[0]]);
      expect(await others()).toEqual(rest);
      expect(ended.stdout).toMatch(/golden search: scores and signals +\d+ +\d+ equal/);
    },
    TEST_PATIENCE,
  );
});

describe('a rebuild from Postgres', () => {
  test.each<Damage>([
    'the graph deleted',
    'the graph half overwritten',
    'an append-only file that is cut off, the server down',
    'its folder gone, the server down',
    'its append-only files gone under the running server',
  ])(
    'after %s brings back every node and relationship, but not their validity',
    async (damage) => {
      const [before, rest] = [(await server.now()).graphs.novamem!, await others()];
      await damages[damage]();
      const ended = await recover(real, '--set', 'way.answer=rebuild');
      expect(ended.exitCode, wordsOf(ended)).toBe(0);
      const { graphs } = await server.now();
      expect(graphs.novamem).toEqual(before);
      expect(
        await server.falkordb.query('novamem', 'MATCH ()-[r]->() WHERE r.validFrom IS NOT NULL RETURN count(r)'),
      ).toEqual([[0]]);
      expect(ended.stdout).toMatch(
        /warning: Postgres has no validFrom and no validTo: all [\d,]+ relationships will have neither/,
      );
      expect(await others()).toEqual(rest);
      expect(ended.stdout).toMatch(/golden search: scores and signals +\d+ +\d+ equal/);
      expect(ended.stdout).not.toContain('RPO');
      await server.stop();
      await server.start();
      expect((await inventoryFalkordb(server.falkordb)).graphs.novamem).toEqual(before);
      for (const name of Object.keys(graphs))
        if (name !== 'novamem') await server.falkordb.deleteGraph({ change: (_change, act) => act() }, name);
    },
    TEST_PATIENCE,
  );

  test(
    'needs no backup at all',
    async () => {
      const before = (await server.now()).graphs.novamem!;
      await damages['the graph deleted']();
      const ended = await recover(real, '--set', 'way.answer=rebuild', '--backup', 'none');
      expect(ended.exitCode, wordsOf(ended)).toBe(0);
      expect((await server.now()).graphs.novamem).toEqual(before);
    },
    TEST_PATIENCE,
  );
});

describe('an empty graph', () => {
  test.each<Damage>([
    'a file missing that the manifest names, so that the server does not start',
    'its folder gone, the server down',
    'the graph half overwritten',
  ])(
    'after %s is there, novamem is healthy and writes to it, and what it lacks was counted before',
    async (damage) => {
      const rest = await others();
      await damages[damage]();
      const ended = await recover(real, '--set', 'way.answer=empty');
      expect(ended.exitCode, wordsOf(ended)).toBe(0);
      expect(await graphContent(server.falkordb, 'novamem')).toEqual({ nodes: {}, relationships: {} });
      expect(await others()).toEqual(rest);
      expect(ended.stdout).toMatch(/warning: 600 memories lose their graph hits .*600 nodes, [\d,]+ relationships: /);
      expect(ended.stdout).toMatch(/deep health: graph +ok +ok +equal/);
      expect(ended.stdout).toMatch(/recall +skipped/);
      expect(existsSync(data())).toBe(true);
    },
    TEST_PATIENCE,
  );
});

describe('what stops the run before anything is touched', () => {
  test('nobody has chosen a way: exit code 3, and the ways are named', async () => {
    const ended = await recover(real);
    expect(ended.exitCode).toBe(3);
    expect(ended.stderr).toContain('way.answer=files, or --set way.answer=rebuild, or --set way.answer=empty');
  });

  test('the backup’s files were chosen, and there is no backup: exit code 1, and FalkorDB runs as before', async () => {
    const before = await server.now();
    const ended = await recover(real, '--set', 'way.answer=files', '--backup', 'none');
    expect(ended.exitCode, wordsOf(ended)).not.toBe(0);
    expect(differencesOf(before, await server.now())).toEqual([]);
  });
});

describe('a cluster that was written to since its backup', () => {
  let busy: RealCluster;

  beforeAll(async () => {
    busy = await realCluster();
    const set = await busy.backup();
    const { query, namespace } = set.goldenSearches.find((golden) => golden.project === undefined)!;
    for (let number = 1; number <= 3; number += 1)
      await remember(busy, `${query} again, the ${number}th time`, namespace!);
    await busy.sql(`UPDATE memory_relations SET strength = strength / 2 WHERE relation = 'co_occurs'`);
  });

  test.each([
    ['files', /filled up from Postgres: 3 nodes/],
    ['rebuild', /warning: Postgres has no validFrom/],
  ])(
    'comes back by %s, and recall is proven for what was there at the time of the backup',
    async (way, said) => {
      const ended = await recover(busy, '--set', `way.answer=${way}`);
      expect(ended.exitCode, wordsOf(ended)).toBe(0);
      expect(ended.stdout).toMatch(said);
      const { nodes } = await graphContent(busy.cluster.falkordb, 'novamem');
      expect(nodes).toEqual({ Memory: 603 });
      const [valid] = await busy.cluster.falkordb.query('novamem', 'MATCH ()-[r]->() RETURN count(r.validFrom) > 0');
      expect(valid).toEqual([way === 'files' ? 'true' : 'false']);
      expect(ended.stdout).toContain('golden search: signals as then');
      const { results } = await search(busy.cluster.novamem!, { query: 'billing depends on the new schema', k: 5 });
      expect(results.some((result) => result.signals.graph !== undefined)).toBe(true);
    },
    TEST_PATIENCE,
  );
});
