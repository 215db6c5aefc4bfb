import { expect, test } from 'vitest';
import { sceneOf } from '../../src/sandbox/disasters/disaster.js';
import { sessionHoldsLock } from '../../src/sandbox/disasters/postgres.js';
import { eventually } from '../support/eventually.js';
import { realCluster } from '../support/sandbox.js';

const SESSION = `SELECT pid, state, wait_event FROM pg_stat_activity WHERE application_name = 'nightly report'`;

test('a forgotten session is idle in its transaction, and holds up what would replace the table until it is ended', async () => {
  const real = await realCluster(50);
  const did = await sessionHoldsLock.strike(sceneOf(real.record.name));
  expect(did.join('; ')).toContain('"nightly report", idle in its transaction');
  const [session] = await real.sql(SESSION);
  expect(session).toMatchObject({ state: 'idle in transaction', wait_event: 'ClientRead' });

  const drop = () => real.sql(`SET lock_timeout = '300ms'; ALTER TABLE memory_entries RENAME TO memories_of_before`);
  await expect(drop()).rejects.toThrow('lock timeout');
  await real.sql(`SELECT pg_terminate_backend(${session!.pid})`);
  await eventually('it is gone', async () => (await real.sql(SESSION)).length === 0);
  await drop();
});
