import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeAll, describe, expect, test } from 'vitest';
import { novamemSearch } from '../../../src/steps/novamem/search.js';
import type { BackupSet } from '../../../src/stores/backup-set/backup-set.js';
import { Cluster } from '../../../src/stores/cluster.js';
import { findings, open, perform, type RealCluster, realCluster, unequal } from '../../support/sandbox.js';

let real: RealCluster;
let backup: BackupSet;
const atTheEnd: (() => Promise<unknown> | unknown)[] = [];

beforeAll(async () => {
  real = await realCluster();
  backup = await real.backup();
});

afterEach(async () => {
  for (const work of atTheEnd.splice(0)) await work();
});

const loose = (): BackupSet => ({ ...backup, kind: 'loose', goldenSearches: [] });

async function differences(set: BackupSet): Promise<string[]> {
  const ctx = real.context({ backup: set });
  const { facts, error } = await perform(novamemSearch, {}, ctx);
  expect(error).toBeUndefined();
  return unequal(novamemSearch, {}, ctx, facts);
}

/** The same cluster with something else in novamem's place. */
async function elsewhere(answer: { status: number; body: string }): Promise<Cluster> {
  const server = createServer((_request, response) => response.writeHead(answer.status).end(answer.body));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  atTheEnd.push(() => new Promise((resolve) => server.close(resolve)));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const { profile } = real.cluster;
  return new Cluster({ ...profile, novamem: { ...profile.novamem!, url } });
}

describe('the golden searches of a backup', () => {
  test('are five with their memories, scores and signals of all three tiers', () => {
    expect(backup.goldenSearches).toHaveLength(5);
    for (const { query, results } of backup.goldenSearches) {
      expect(query.split(' ').length).toBeGreaterThan(3);
      expect(results.length).toBeGreaterThan(0);
      expect(Object.keys(results[0]!.signals).sort()).toEqual(['graph', 'keyword', 'vector']);
    }
    expect(backup.unproven).toEqual([]);
  });

  test('are those of the profile where it names some', async () => {
    const { profile } = real.cluster;
    const own = [{ query: 'the audit log', k: 3, namespace: 'notes' }];
    const cluster = new Cluster({ ...profile, novamem: { ...profile.novamem!, goldenSearches: own } });
    const set = await real.backup(cluster.profile);
    expect(set.goldenSearches).toMatchObject(own);
    expect(set.goldenSearches[0]!.results).toHaveLength(3);
  });

  test('do not hold a memory that is younger than the dump', async () => {
    const [first] = backup.goldenSearches;
    const { id } = first!.results[0]!;
    await real.sql(`UPDATE memory_entries SET created_at = now() + interval '1 hour' WHERE id = '${id}'`);
    atTheEnd.push(() => real.sql(`UPDATE memory_entries SET created_at = '2026-02-01Z' WHERE id = '${id}'`));
    const set = await real.backup();
    expect(set.goldenSearches.flatMap((one) => one.results.map((result) => result.id))).not.toContain(id);
    expect(set.unproven).toContain(
      `the search "${first!.query}" is not recorded: it finds memories written during the backup`,
    );
  });

  test('find the same as long as nothing is lost', async () => {
    expect(await differences(backup)).toEqual([]);
  });

  test('tell a lost graph, although /health stays green', async () => {
    const { falkordb, novamem } = real.cluster;
    await falkordb.renameGraph(open, falkordb.graph, 'kept');
    atTheEnd.push(() => falkordb.renameGraph(open, 'kept', falkordb.graph));
    expect((await novamem!.get('/health')).status).toBe(200);
    const found = await differences(backup);
    expect(found).toContainEqual(expect.stringMatching(/golden search: degraded: expected no, found yes/));
    expect(found).toContainEqual(
      expect.stringMatching(/one memory: expected score 0\.\d+, graph 0\.\d+, found score 0\.\d+, graph none/),
    );
  });

  test('tell a lost memory by its id', async () => {
    const { id } = backup.goldenSearches[0]!.results[0]!;
    await real.sql(
      `CREATE TABLE kept AS SELECT * FROM memory_fts WHERE entry_id = '${id}'; DELETE FROM memory_fts WHERE entry_id = '${id}'`,
    );
    atTheEnd.push(() => real.sql('INSERT INTO memory_fts SELECT * FROM kept; DROP TABLE kept'));
    expect(await differences(backup)).toContainEqual(
      expect.stringMatching(new RegExp(`memory ${id}, .* keyword 0\\.\\d+, found .* keyword none`)),
    );
  });
});

describe('without golden searches', () => {
  test('sampled memories are searched for, and found', async () => {
    const ctx = real.context({ backup: loose() });
    const { facts } = await perform(novamemSearch, {}, ctx);
    expect(facts.checks!.filter((check) => check.ok)).toHaveLength(5);
    expect(await findings(novamemSearch, {}, ctx)).toEqual([expect.stringMatching(/^info: .* no golden searches/)]);
  });

  test('a memory that is not found fails', async () => {
    const ctx = real.context({ backup: loose() });
    const { facts } = await perform(novamemSearch, {}, ctx);
    const ids = facts.checks!.map((check) => check.subject.split(' ').at(-1)!);
    const [last] = ids.slice(-1);
    const [{ project, namespace }] = (await real.sql(
      `SELECT project_id AS project, namespace FROM memory_entries WHERE id = '${last}'`,
    )) as [{ project: string | null; namespace: string }];
    await real.sql(`UPDATE memory_entries SET namespace = 'gone' WHERE id = '${last}'`);
    atTheEnd.push(() => real.sql(`UPDATE memory_entries SET namespace = '${namespace}' WHERE id = '${last}'`));
    expect([project, await differences(loose())]).toEqual([
      project,
      [expect.stringContaining(`novamem memory ${last}, sampled memory by search: expected found`)],
    ]);
  });

  test.each([
    { status: 404, body: '{"error":"not found"}' },
    { status: 401, body: '{"error":"unauthorized"}' },
    { status: 200, body: '{"ok":true}' },
  ])('a server that has no search ($status) is said to prove nothing, and fails nothing', async (answer) => {
    const cluster = await elsewhere(answer);
    const plan = await novamemSearch.plan(novamemSearch.params.parse({}), real.context({ cluster, backup: loose() }));
    expect(plan.notApplicable).toMatch(
      new RegExp(`recall cannot be proven: /v1/search answered HTTP ${answer.status}`),
    );
  });
});

test('golden searches that a server no longer answers fail', async () => {
  const cluster = await elsewhere({ status: 404, body: '{"error":"not found"}' });
  const { error } = await perform(novamemSearch, {}, real.context({ cluster, backup }));
  expect(error?.message).toBe('/v1/search answered HTTP 404 {"error":"not found"}');
});
