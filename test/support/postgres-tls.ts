import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Profile } from '../../src/config/profile.js';
import { inspectCommand } from '../../src/hosts/run-command.js';
import { Postgres } from '../../src/stores/postgres/connection.js';
import { toolsFor } from '../../src/stores/postgres/tools.js';
import type { Certificate } from './certificates.js';
import { eventually } from './eventually.js';
import type { ForeignCluster } from './foreign-cluster.js';
import { shownByPostgres } from './tls-front.js';

const ASK = 'SELECT CASE WHEN ssl THEN 1 ELSE 0 END AS ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()';
const ANY_MAJOR = 15;

/** How this program's own connection ends, and how that of psql: let in with TLS, without, or not at all. */
export async function bothConnections(settings: Profile['postgres']): Promise<[string, string]> {
  const postgres = new Postgres(settings);
  const ours = await postgres.read<{ ssl: number }>(ASK).then(
    ([row]) => (row!.ssl ? 'TLS' : 'plain'),
    () => 'refused',
  );
  const { bin } = await toolsFor(ANY_MAJOR);
  const ended = await inspectCommand({
    file: join(bin, 'psql'),
    args: [...postgres.toolArguments, '--dbname', postgres.database, '--no-psqlrc', '-tAc', ASK],
    ...postgres.toolEnvironment,
  });
  const theirs = ended.exitCode !== 0 ? 'refused' : ended.stdout.trim() === '1' ? 'TLS' : 'plain';
  return [ours, theirs];
}

/** Has Postgres show another certificate, or none and speak no TLS, and let in with TLS only or anyhow. */
export async function postgresShows(
  cluster: ForeignCluster,
  certificate: Certificate | undefined,
  lets: 'host' | 'hostssl',
): Promise<void> {
  cluster.layPostgresTls(certificate, lets);
  process.kill(Number(readFileSync(cluster.places.pidFile('postgres'), 'utf8')), 'SIGHUP');
  const expected = certificate ? /([a-z]+)\.pem$/.exec(certificate.certFile)![1]! : 'plain';
  await eventually(`Postgres shows ${expected}`, async () => {
    const shown = await shownByPostgres(cluster.ports.postgres).catch(() => '');
    return shown === expected;
  });
}
