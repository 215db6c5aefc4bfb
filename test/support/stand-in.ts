import { readFileSync, writeFileSync } from 'node:fs';
import type { StandInSettings } from '../../src/sandbox/stand-in.js';
import { eventually } from './eventually.js';
import { open, type RealCluster } from './sandbox.js';

type Changes = Partial<Pick<StandInSettings, 'embeddingsPerMinute' | 'reindexEndpoint'>>;

/** Restarts the stand-in of a sandbox, with these of its settings changed. */
export async function restartNovamem({ places, cluster }: RealCluster, changes: Changes = {}): Promise<void> {
  const settings = JSON.parse(readFileSync(places.standInSettings, 'utf8')) as StandInSettings;
  writeFileSync(places.standInSettings, JSON.stringify({ ...settings, ...changes }), { mode: 0o600 });
  const driver = cluster.driver('novamem')!;
  await driver.stop(open, { onLine: () => {} });
  await driver.start(open, { onLine: () => {} });
  await eventually('novamem answers', async () => (await cluster.answering('novamem')).answers);
}
