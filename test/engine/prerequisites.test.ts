import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { homeFolder } from '../../src/config/home.js';
import { prerequisitesOf } from '../../src/engine/prerequisites.js';
import { scenarios } from '../../src/runbook/library.js';
import { Cluster } from '../../src/stores/cluster.js';
import { type RealCluster, realCluster } from '../support/sandbox.js';

let real: RealCluster;

beforeAll(async () => {
  real = await realCluster();
  await real.backup();
});

const otherwise = (change: Partial<Cluster['profile']>) => new Cluster({ ...real.cluster.profile, ...change });

describe('what stands in the way of scenarios', () => {
  test('is nothing for a whole recovery of a cluster that is whole and backed up', async () => {
    const { possible, obstacles } = await prerequisitesOf(real.cluster);
    expect(possible).toEqual(expect.arrayContaining(['whole-cluster-lost', 'backup']));
    const concerned = obstacles.filter((one) =>
      one.concerns.some((concern) => concern.startsWith('whole-cluster-lost')),
    );
    expect(concerned.filter((one) => one.level === 'blocking')).toEqual([]);
  });

  test('is said once, with every scenario and step that it concerns', async () => {
    const { possible, obstacles } = await prerequisitesOf(otherwise({ backups: [] }));
    expect(possible).not.toContain('backup');
    const [nowhere] = obstacles.filter((one) => one.message.includes('names no backup root'));
    expect(nowhere).toMatchObject({ level: 'blocking', next: 'add to the profile: backups: [ /a/folder ]' });
    expect(nowhere?.concerns).toEqual(expect.arrayContaining(['backup: backup-postgres', 'backup: write-manifest']));
  });

  test('is a service that nobody here can stop or start', async () => {
    const { possible, obstacles } = await prerequisitesOf(otherwise({ services: {} }));
    expect(possible).not.toContain('whole-cluster-lost');
    expect(obstacles.map((one) => one.message)).toContainEqual(
      expect.stringMatching(/the profile does not say how to stop/),
    );
  });

  test('is looked for without recording anything', async () => {
    const before = readdirSync(join(homeFolder(), 'runs'));
    const { obstacles } = await prerequisitesOf(otherwise({ backups: [] }));
    expect(readdirSync(join(homeFolder(), 'runs'))).toEqual(before);
    const concerned = new Set(obstacles.flatMap((one) => one.concerns.map((concern) => concern.split(':')[0])));
    expect([...concerned].every((scenario) => scenarios().includes(scenario!))).toBe(true);
  });
});
