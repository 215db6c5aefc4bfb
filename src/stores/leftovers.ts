import type { Gateway } from '../hosts/gateway.js';
import { type KnownProcess, processesWith } from '../hosts/process-mark.js';
import { groupGone, RUN_VARIABLE } from '../hosts/run-command.js';
import { waitFor } from '../hosts/waiting.js';
import type { Postgres } from './postgres/connection.js';
import { applicationOf } from './postgres/server.js';

const PATIENCE_MS = 10_000;

/**
 * Ends what was started for a run whose own process is gone: programs on this machine, then sessions in Postgres, which work
 * on for a while after their program has ended. Only what carries the id of that run is touched.
 */
export async function endLeftovers(gateway: Gateway, postgres: Postgres, run: string): Promise<void> {
  const groups = Map.groupBy(processesWith(RUN_VARIABLE, run), (one) => one.group);
  for (const [group, processes] of groups) await endGroup(gateway, group, processes);
  const database = await postgres.maintenanceDatabase().catch(() => undefined);
  if (database === undefined) return;
  const sessions = () =>
    postgres.read<{ pid: number }>(
      'SELECT pid FROM pg_stat_activity WHERE application_name = $1',
      [applicationOf(run)],
      database,
    );
  for (const { pid } of await sessions())
    await postgres.write(gateway, `SELECT pg_terminate_backend(${pid})`, database);
  await waitFor(async () => ((await sessions()).length === 0 ? true : undefined), { timeoutMs: PATIENCE_MS });
}

async function endGroup(gateway: Gateway, group: number, processes: KnownProcess[]): Promise<void> {
  const { command } = processes.find((one) => one.pid === group) ?? processes[0]!;
  await gateway.change({ channel: 'process', text: `kill -- -${group} # ${command}` }, async () => {
    signalGroup(group, 'SIGTERM');
    if (!(await groupGone(group, PATIENCE_MS))) signalGroup(group, 'SIGKILL');
  });
}

function signalGroup(group: number, name: NodeJS.Signals): void {
  try {
    process.kill(-group, name);
  } catch {
    // It has ended meanwhile.
  }
}
