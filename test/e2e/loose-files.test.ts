import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ForeignCluster } from '../support/foreign-cluster.js';
import { ForeignProgram, wordsOf } from '../support/foreign-program.js';

// A cluster that the program knows only by its profile is really lost and recovered by the real program.

const TEST_PATIENCE = 200_000;

const work = mkdtempSync(join(tmpdir(), 'novamem-runbook-loose-'));
let cluster: ForeignCluster;
let program: ForeignProgram;

beforeAll(async () => {
  cluster = await ForeignCluster.start();
  program = new ForeignProgram(cluster);
});

afterAll(async () => {
  await cluster?.stop();
  program?.remove();
  rmSync(work, { recursive: true, force: true });
});

const recover = (profile: string, confirm: string, ...more: string[]) =>
  program.run('run', 'whole-cluster-lost', '--profile', profile, '--headless', '--confirm', confirm, ...more);

const runsRecorded = () => {
  const folder = join(program.home, 'runs');
  return existsSync(folder) ? readdirSync(folder) : [];
};

describe('loose files that the handbook’s commands made', () => {
  test.each(['appendonlydir', 'dump.rdb'] as const)(
    'everything comes back from a dump, .tgz snapshots and %s',
    async (form) => {
      const folder = join(work, form);
      const before = await cluster.measure();
      await cluster.backupWithPlainCommands(folder, form);
      await cluster.lose();
      const ended = await recover(cluster.profileWith([]), cluster.name, '--backup', folder);
      expect(ended.exitCode, wordsOf(ended)).toBe(0);
      expect(await cluster.measure()).toEqual(before);
      expect(await program.leaks(ended)).toEqual([]);
    },
    TEST_PATIENCE,
  );

  test('Q0: the handbook’s own PUT upload restores nothing, and curl exits 0', async () => {
    const [collection] = Object.keys((await cluster.measure()).collections);
    const file = join(work, 'snap.tgz');
    await cluster.downloadSnapshot(collection!, file);
    const path = `/collections/${collection}`;
    const { count: whole } = await cluster.askQdrant<{ count: number }>('POST', `${path}/points/count`, {});
    const upload = `http://127.0.0.1:${cluster.ports.qdrant}${path}/snapshots/upload`;
    const filter = { must: [{ key: 'source', match: { value: 'api' } }] };
    await cluster.askQdrant('POST', `${path}/points/delete?wait=true`, { filter });
    const points = async () =>
      (await cluster.askQdrant<{ count: number }>('POST', `${path}/points/count`, { exact: true })).count;
    const left = await points();
    expect(left).toBeLessThan(whole);

    const put = await cluster.curl('-X', 'PUT', upload, '-F', `snapshot=@${file}`);
    expect(put).toEqual({ exitCode: 0, stdout: '', stderr: '' });
    expect(await points()).toBe(left);

    await cluster.curl('-X', 'POST', `${upload}?priority=snapshot`, '-F', `snapshot=@${file}`);
    expect(await points()).toBe(whole);
  });
});

describe('the name that confirms', () => {
  test(
    'a wrong name is refused with exit code 3, before anything is changed or recorded',
    async () => {
      const folder = join(work, 'unconfirmed');
      await cluster.backupWithPlainCommands(folder, 'appendonlydir');
      await cluster.writeOn();
      const before = await cluster.measure();
      const recorded = runsRecorded();
      const ended = await recover(cluster.profileWith([]), 'acme-us', '--backup', folder);
      expect(ended).toMatchObject({ exitCode: 3, stdout: '' });
      expect(ended.stderr).toContain('--confirm says "acme-us", but this cluster is called "acme-eu"');
      expect(await cluster.measure()).toEqual(before);
      expect(runsRecorded()).toEqual(recorded);

      // The same command with the right name puts the cluster back: the other tests find it whole.
      const right = await recover(cluster.profileWith([]), cluster.name, '--backup', folder);
      expect(right.exitCode, wordsOf(right)).toBe(0);
    },
    TEST_PATIENCE,
  );
});

describe('a backup set that the program made', () => {
  const root = join(work, 'backups');

  test(
    'brings everything back, after a loss and onto stores that were written on',
    async () => {
      const profile = cluster.profileWith([root]);
      const [collection] = Object.keys((await cluster.measure()).collections);
      await cluster.askQdrant('POST', '/collections/aliases', {
        actions: [{ create_alias: { alias_name: 'novamem_current', collection_name: collection } }],
      });
      const before = { ...(await cluster.measure()), aliases: await cluster.aliases() };
      const taken = await program.run('backup', '--profile', profile);
      expect(taken.exitCode, wordsOf(taken)).toBe(0);
      expect(readdirSync(root)).toHaveLength(1);

      await cluster.lose();
      const afterLoss = await recover(profile, cluster.name, '--backup', 'latest');
      expect(afterLoss.exitCode, wordsOf(afterLoss)).toBe(0);
      expect({ ...(await cluster.measure()), aliases: await cluster.aliases() }).toEqual(before);

      await cluster.writeOn();
      expect(await cluster.measure()).not.toMatchObject(before);
      const afterWriting = await recover(profile, cluster.name, '--backup', readdirSync(root)[0]!);
      expect(afterWriting.exitCode, wordsOf(afterWriting)).toBe(0);
      expect({ ...(await cluster.measure()), aliases: await cluster.aliases() }).toEqual(before);
      expect(await program.leaks(taken, afterLoss, afterWriting)).toEqual([]);
    },
    TEST_PATIENCE,
  );
});
