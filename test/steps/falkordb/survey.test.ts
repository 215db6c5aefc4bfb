import { renameSync, rmSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { driverFor } from '../../../src/hosts/services/drivers.js';
import { falkordbRestore } from '../../../src/steps/falkordb/restore.js';
import { falkordbSurvey } from '../../../src/steps/falkordb/survey.js';
import type { BackupSet } from '../../../src/stores/backup-set/backup-set.js';
import { eventually } from '../../support/eventually.js';
import { falkordbOf } from '../../support/falkordb.js';
import { findings, open, perform, type RealCluster, realCluster, unequal } from '../../support/sandbox.js';

let real: RealCluster;
let backup: BackupSet;
let server: ReturnType<typeof falkordbOf>;

beforeAll(async () => {
  real = await realCluster();
  backup = await real.backup();
  server = falkordbOf(real);
});

const data = (...names: string[]) => join(real.places.falkordbData, ...names);
const said = (more = {}) => findings(falkordbSurvey, {}, real.context({ backup, ...more }));
const restore = async () => {
  const { error } = await perform(falkordbRestore, {}, real.context({ backup }));
  if (error) throw error;
};

async function table(more = {}): Promise<string[]> {
  const ctx = real.context({ backup, ...more });
  const { error, output, facts } = await perform(falkordbSurvey, {}, ctx);
  expect(error).toBeUndefined();
  expect(await unequal(falkordbSurvey, {}, ctx, facts)).toEqual([]);
  for (const line of output) expect(line.length).toBeLessThanOrEqual(80);
  return output;
}

describe('what is left of the graph', () => {
  test('is counted beside what Postgres and the backup hold, by kind', async () => {
    await server.cypher(`MATCH ()-[r:RELATES {kind: 'co_occurs'}]->() DELETE r`);
    await real.sql(`CREATE TABLE kept AS SELECT * FROM memory_relations WHERE relation = 'co_inferred';
      DELETE FROM memory_relations WHERE relation = 'co_inferred'`);
    const lines = await table();
    const cells = (name: string) =>
      lines
        .find((line) => line.startsWith(name))!
        .split(/\s+/)
        .slice(1);
    expect(lines[0]).toMatch(/^the graph +now +Postgres +backup$/);
    expect(cells('nodes')).toEqual(['600', '600', '600']);
    const [now, postgres, set] = cells('co_occurs');
    expect([now, postgres]).toEqual(['0', set]);
    expect(Number(set)).toBeGreaterThan(100);
    expect(cells('co_inferred')[1]).toBe('0');
    expect(await said()).toContainEqual(`info: missing in the graph of what Postgres says: ${set} co_occurs`);
    await real.sql('INSERT INTO memory_relations SELECT * FROM kept; DROP TABLE kept');
    await restore();
  });

  test('is said to be all there when it is', async () => {
    expect(await said()).toContainEqual(
      expect.stringMatching(/^warning: by count the graph holds all .* is it lost at all\?$/),
    );
  });

  test('is told as not known where it is not, with the reason', async () => {
    await server.down();
    const { inventory: _, ...loose } = backup;
    const lines = await table({ backup: loose });
    expect(
      lines
        .find((line) => line.startsWith('nodes'))!
        .split(/\s+/)
        .slice(1),
    ).toEqual(['?', '600', '?']);
    expect(lines).toContainEqual(expect.stringMatching(/^\? now: FalkorDB does not answer/));
    expect(lines).toContainEqual(expect.stringMatching(/^\? backup \S+: it has no inventory of FalkorDB$/));
    await server.start();
  });
});

describe('of a server that is down', () => {
  test('it is said whether its files are whole, cut off or gone', async () => {
    await server.down();
    expect(await said()).toContainEqual(
      expect.stringMatching(
        /^warning: FalkorDB is down, but its .*appendonlydir looks whole: starting it may bring the graph back$/,
      ),
    );
    const [base] = backup
      .falkordb!.files.map((file) => file.file.split('/').at(-1)!)
      .filter((name) => name.includes('.base.'));
    truncateSync(data('appendonlydir', base!), 20_000);
    expect(await said()).toContainEqual(
      expect.stringMatching(/^info: FalkorDB is down; its appendonlydir is damaged: .*cut off$/),
    );
    const gone = `${data()}-gone`;
    renameSync(data(), gone);
    expect(await said()).toContainEqual(
      expect.stringMatching(/^info: FalkorDB is down, and .* holds nothing of it$/),
    );
    rmSync(gone, { recursive: true });
    await restore();
  });
});

test('of a server whose files were removed under it, it is said that its memory holds the newest graph', async () => {
  rmSync(data('appendonlydir'), { recursive: true });
  expect(await said()).toContainEqual(
    expect.stringMatching(
      /^warning: its append-only files were removed, but FalkorDB still holds the graph in memory/,
    ),
  );
  await restore();
});

describe('the other stores', () => {
  test.each([
    'postgres',
    'qdrant',
  ] as const)('%s must answer, since this runbook leaves it as it is', async (store) => {
    const driver = driverFor(store, real.cluster.profile.services[store]!);
    await driver.stop(open, { onLine: () => {} });
    expect(await said()).toContainEqual(
      expect.stringMatching(/^blocking: (Postgres|Qdrant) does not answer .*leaves it as it is$/),
    );
    expect(await unequal(falkordbSurvey, {}, real.context({ backup }), {})).toEqual([
      expect.stringMatching(new RegExp(`^${store}, answers: expected yes, found no`)),
    ]);
    await driver.start(open, { onLine: () => {} });
    await eventually('it answers again', async () => (await real.cluster.answering(store)).answers);
  });
});
