import { type Postgres, quoteIdentifier, type Reading } from './connection.js';

/** A row, told apart from others by what is in it. */
export interface TableRow {
  /** As the inventory hashes a row. */
  hash: string;
  /** Its primary key, and nothing else of it: a row may hold a secret. Empty where the table has none. */
  key: string;
  /** The memories that it refers to: it goes with them. */
  memories: string[];
}

interface Table {
  schema: string;
  name: string;
  keys: string[];
  memories: string[];
}

const COLUMNS = (where: string) => `ARRAY(SELECT a.attname::text FROM ${where} ORDER BY a.attnum) `;
const PRIMARY_KEY = COLUMNS(
  `pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY(i.indkey) WHERE i.indrelid = c.oid AND i.indisprimary`,
);
const OF_MEMORIES = COLUMNS(
  `pg_constraint k JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = ANY(k.conkey)
    WHERE k.conrelid = c.oid AND k.contype = 'f' AND k.confrelid = to_regclass('memory_entries')`,
);

/** Every table of the schema in which novamem has its own, by name, but for those that are `left out`. */
function tablesIn({ query }: Reading, leftOut: readonly string[]): Promise<Table[]> {
  return query<Table>(
    `SELECT n.nspname AS schema, c.relname AS name, ${PRIMARY_KEY} AS keys, ${OF_MEMORIES} AS memories
       FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
      WHERE c.relkind = 'r' AND n.oid = to_regnamespace(current_schema()) AND c.relname <> ALL($1) ORDER BY 2`,
    [leftOut],
  );
}

/** Table → every row of it: for a database of some thousand. One that cannot be read is named in `unread`, and has none. */
export async function rowsOfTables(
  postgres: Postgres,
  leftOut: readonly string[],
): Promise<{ tables: Map<string, TableRow[]>; unread: string[] }> {
  const found = await postgres.reading((reading) => tablesIn(reading, leftOut));
  const tables = new Map<string, TableRow[]>();
  const unread: string[] = [];
  for (const table of found) {
    // Each by itself: a damaged page ends the transaction that meets it.
    const rows = await rowsOf(postgres, table).catch(() => undefined);
    if (!rows) unread.push(table.name);
    tables.set(table.name, rows ?? []);
  }
  return { tables, unread };
}

function rowsOf(postgres: Postgres, { schema, name, keys, memories }: Table): Promise<TableRow[]> {
  const texts = (columns: readonly string[]) =>
    `ARRAY[${columns.map((column) => `t.${quoteIdentifier(column)}::text`).join(', ')}]::text[]`;
  return postgres.read<TableRow>(
    `SELECT hashtextextended(t::text, 0)::text AS hash, array_to_string(${texts(keys)}, ' ') AS key, ${texts(memories)} AS memories
       FROM ONLY ${quoteIdentifier(schema)}.${quoteIdentifier(name)} t`,
  );
}
