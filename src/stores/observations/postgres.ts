import type { Profile } from '../../config/profile.js';
import { freeBytesIfHere } from '../../hosts/files.js';
import { isHere } from '../../hosts/here.js';
import { sizeOf } from '../../words.js';
import { type Postgres, quoteIdentifier } from '../postgres/connection.js';
import { databaseBytes, describeServer } from '../postgres/server.js';
import { installations } from '../postgres/tools.js';
import { observeClock } from './clock.js';
import { type Observation, observing } from './observation.js';

/** What a recovery needs of a Postgres that answers: programs of its version, rights, room, the time. */
export async function observePostgres(postgres: Postgres, settings: Profile['postgres']): Promise<Observation[]> {
  const look = observing('Postgres');
  const server = await describeServer(postgres);
  const found = await installations();
  const majors = [...new Set(found.map(({ major }) => major))];
  const install = `apt-get install postgresql-client-${server.major} (from apt.postgresql.org where Debian has no such version), or brew install postgresql@${server.major}`;
  if (majors.includes(server.major))
    look.ok(`pg_dump and pg_restore ${server.major} are here, as the server (${server.version})`);
  else if (majors.some((major) => major > server.major))
    look.warn(
      `the server is ${server.version}, and the Postgres programs here are ${majors.join(', ')}: newer ones set parameters that it does not know`,
      install,
    );
  else
    look.block(
      `the server is ${server.version}, and ${majors.length === 0 ? 'no Postgres programs are' : `the Postgres programs here are ${majors.join(', ')}: older ones can neither dump nor restore it. None of its version is`} here`,
      install,
    );
  const { role } = server;
  if (role.createDatabase) look.ok(`the role ${role.name} may create databases`);
  else
    look.warn(
      `the role ${role.name} may not create databases: one that is gone cannot be made again, and none be restored beside`,
      `as a superuser: ALTER ROLE ${quoteIdentifier(role.name)} CREATEDB;`,
    );
  if (server.databaseExists && server.refusal === '') await observeRoom();
  await observeClock(look, async () => {
    const [row] = await postgres.read<{ now: Date }>(
      'SELECT clock_timestamp() AS now',
      [],
      server.databaseExists ? undefined : await postgres.maintenanceDatabase(),
    );
    return row?.now;
  });
  return look.found;

  async function observeRoom(): Promise<void> {
    const bytes = await databaseBytes(postgres);
    const free =
      settings.dataDir !== undefined && isHere(postgres.host) ? await freeBytesIfHere(settings.dataDir) : undefined;
    if (free === undefined) return;
    const said = `${sizeOf(free)} are free on the disk of ${settings.dataDir}, and the database takes ${sizeOf(bytes)}`;
    if (free > bytes) look.ok(said);
    else look.warn(`${said}: it cannot be restored beside the one that is there`, 'make room on that disk');
  }
}
