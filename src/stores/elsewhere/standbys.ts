import { join } from 'node:path';
import type { HostFiles } from '../../hosts/host-files.js';
import { localFiles } from '../../hosts/local-files.js';
import { messageOf } from '../../words.js';
import type { Postgres } from '../postgres/connection.js';
import { lookedAt, notLookedAt, type Place, type Source } from './source.js';

/** Servers that follow this one or that this one follows, as the server tells. */
export async function lookForStandbys(postgres: Postgres): Promise<Place> {
  const place = `${postgres.host}:${postgres.port}, replication`;
  try {
    const through = await postgres.maintenanceDatabase();
    return await postgres.reading(
      async ({ query }) => {
        const followers = await query<{ name: string; address: string; state: string; replayed: string }>(
          `SELECT coalesce(application_name, '') AS name, coalesce(host(client_addr), 'local') AS address,
                  coalesce(state, 'unknown') AS state, coalesce(replay_lsn::text, 'unknown') AS replayed
             FROM pg_stat_replication`,
        );
        const slots = await query<{ name: string; active: boolean }>(
          'SELECT slot_name AS name, active FROM pg_replication_slots',
        );
        const [self] = await query<{ standby: boolean }>('SELECT pg_is_in_recovery() AS standby');
        return lookedAt(place, [
          ...followers.map(({ name, address, state, replayed }) =>
            standby(address, `${name}, ${state}, replayed to ${replayed}`),
          ),
          ...slots
            .filter(({ active }) => !active)
            .map(
              ({ name }): Source => ({
                what: 'replication slot',
                where: name,
                facts: 'nobody uses it now: something followed this server once',
                worth: 'perhaps',
                next: 'find out which server that was, and look at it by hand',
              }),
            ),
          ...(self?.standby ? [follower(postgres.host, 'this server is a standby itself')] : []),
        ]);
      },
      { database: through },
    );
  } catch (error) {
    return notLookedAt(place, messageOf(error));
  }
}

/** Whom a data directory follows, as its own files tell; none where it is no standby. */
export async function primaryOf(dataDir: string, files: HostFiles = localFiles): Promise<Source[]> {
  if (!(await files.exists(join(dataDir, 'standby.signal')))) return [];
  const texts = await Promise.all(
    ['postgresql.auto.conf', 'postgresql.conf'].map((name) => files.read(join(dataDir, name)).then(String, () => '')),
  );
  const setting = /^\s*primary_conninfo\s*=\s*'((?:[^']|'')*)'/m.exec(texts.join('\n'))?.[1] ?? '';
  // Only what tells the way: the rest may be a password.
  const [host, port] = ['host', 'port'].map((word) => new RegExp(`\\b${word}=(\\S+)`).exec(setting)?.[1]);
  return [follower(dataDir, `it is a standby${host ? `; its primary is ${host}${port ? `:${port}` : ''}` : ''}`)];
}

function standby(where: string, facts: string): Source {
  return {
    what: 'standby',
    where,
    facts,
    worth: 'perhaps',
    next: 'look whether it has the data still (damage and DELETE follow, damaged pages mostly do not): then stop it from following, promote it (pg_ctl promote), and point novamem to it',
  };
}

function follower(where: string, facts: string): Source {
  return { what: 'primary', where, facts, worth: 'perhaps', next: 'look at the primary first: it is the original' };
}
