import { expect } from 'vitest';
import { open, type RealCluster } from './sandbox.js';
import { answeredByQdrant, quietPostgres, watchWrites } from './write-watch.js';

const QUIET = { onLine: () => {} };

/**
 * Does some work beside a cluster, and has its stores say themselves that nobody asked them anything meanwhile, not even to read:
 * sessions, requests and commands as each store counts them, and the write-ahead log. Its novamem, which asks by itself, stands
 * still for that time.
 */
export async function notAsked<T>(real: RealCluster, work: () => Promise<T>): Promise<T> {
  const novamem = real.cluster.driver('novamem')!;
  const ran = (await novamem.state()) === 'running';
  if (ran) await novamem.stop(open, QUIET);
  await quietPostgres(real);
  const written = await watchWrites(real);
  await counters(real);
  const [first, second] = [await counters(real), await counters(real)];
  const answer = await work();
  const third = await counters(real);
  // Each look adds the same to these.
  for (const name of ['commands', 'connections', 'sessions'] as const)
    expect(third[name] - second[name], name).toBe(second[name] - first[name]);
  expect(third).toMatchObject({ requests: second.requests, changed: first.changed });
  expect(await written()).toMatchObject({ postgres: [], qdrant: [], falkordb: [] });
  if (ran) await novamem.start(open, QUIET);
  return answer;
}

/** What each store has counted of all that was ever asked of it. */
async function counters(real: RealCluster) {
  const [row] = await real.sql(
    `SELECT sum(sessions)::int AS sessions, sum(tup_inserted + tup_updated + tup_deleted)::int AS changed
       FROM pg_stat_database`,
  );
  const { total_commands_processed, total_connections_received } = await real.cluster.falkordb.info('stats');
  return {
    changed: row!.changed as number,
    sessions: row!.sessions as number,
    // Looking is a request, too.
    requests: [...(await answeredByQdrant(real))].filter(([request]) => !request.includes('telemetry')).sort(),
    commands: Number(total_commands_processed),
    connections: Number(total_connections_received),
  };
}
