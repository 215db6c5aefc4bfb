import { countOf, messageOf, sizeOf } from '../../words.js';
import { type Postgres, quoteIdentifier, sqlState, TABLE_MISSING } from '../postgres/connection.js';
import { lookedAt, notLookedAt, type Place, type Source } from './source.js';

const COUNT_PATIENCE = '30s';

/** Databases that an earlier swap or undo kept under a dated name. */
export async function lookForKeptDatabases(postgres: Postgres): Promise<Place> {
  const place = `${postgres.host}:${postgres.port}, databases`;
  try {
    const through = await postgres.maintenanceDatabase();
    const kept = await postgres.read<{ name: string; bytes: number }>(
      `SELECT datname AS name, pg_database_size(oid)::float8 AS bytes FROM pg_database
        WHERE datname ~ '_(before|undone|restoring)_[0-9]{8}T[0-9]{9}Z$' AND datallowconn ORDER BY 1 DESC`,
      [],
      through,
    );
    const sources: Source[] = [];
    for (const one of kept) sources.push(await lookInto(postgres, one));
    return lookedAt(place, sources);
  } catch (error) {
    return notLookedAt(place, messageOf(error));
  }
}

async function lookInto(postgres: Postgres, { name, bytes }: { name: string; bytes: number }): Promise<Source> {
  const source = { what: 'kept database', where: name };
  const { database } = postgres;
  const next = `in another database: ALTER DATABASE ${quoteIdentifier(database)} RENAME TO ${quoteIdentifier(`${database}_aside`)}; ALTER DATABASE ${quoteIdentifier(name)} RENAME TO ${quoteIdentifier(database)};`;
  try {
    // Every value is read: a database is mostly kept because it was damaged.
    const [row] = await postgres.reading(
      ({ query }) => query<{ memories: string }>('SELECT count(t::text)::text AS memories FROM memory_entries AS t'),
      { database: name, settings: { statement_timeout: COUNT_PATIENCE } },
    );
    const memories = Number(row!.memories);
    const facts = `${sizeOf(bytes)}, ${countOf(memories)} memories, all of them can be read`;
    if (memories === 0 || name.includes('_restoring_'))
      return { ...source, facts, worth: memories === 0 ? 'none' : 'perhaps' };
    return { ...source, facts, worth: 'good', next };
  } catch (error) {
    if (sqlState(error) === TABLE_MISSING)
      return { ...source, facts: `${sizeOf(bytes)}, and no memories in it`, worth: 'none' };
    return {
      ...source,
      facts: `${sizeOf(bytes)}; its memories cannot all be read: ${messageOf(error)}`,
      worth: 'perhaps',
      next: 'what of it can be read can be salvaged: plan postgres-lost-no-backup with a profile whose postgres.url names it',
    };
  }
}
