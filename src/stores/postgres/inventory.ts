import { z } from 'zod';
import { allThere, type Check, equal, sameSet } from '../check.js';
import { type Postgres, quoteIdentifier, type Reading } from './connection.js';

const OBJECTS = [
  'indexes',
  'constraints',
  'triggers',
  'functions',
  'views',
  'extensions',
  'owners',
  'grants',
  'database',
] as const;

/** What is in a Postgres database, exactly enough to prove that it came back. Taken inside one snapshot. */
export const postgresInventorySchema = z.object({
  database: z.string(),
  serverVersion: z.string(),
  systemIdentifier: z.string(),
  /** `schema.table` → rows, and a checksum over all rows that does not depend on their order. */
  tables: z.record(z.string(), z.object({ rows: z.number(), checksum: z.string() })),
  /** `schema.sequence` → last value */
  sequences: z.record(z.string(), z.string()),
  /** Definitions, a line each, sorted. */
  objects: z.partialRecord(z.enum(OBJECTS), z.array(z.string())),
  invalidIndexes: z.array(z.string()),
});
export type PostgresInventory = z.infer<typeof postgresInventorySchema>;

const USER_SCHEMAS = "NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_(toast|temp)'";
/** Objects that belong to an extension come with it and are not in a dump by themselves. */
const notOfAnExtension = (catalog: string, oid: string) =>
  `NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.classid = '${catalog}'::regclass AND d.objid = ${oid} AND d.deptype = 'e')`;

const DEFINITIONS: Record<(typeof OBJECTS)[number], string> = {
  indexes: `SELECT pg_get_indexdef(i.indexrelid) AS line FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
              JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname ${USER_SCHEMAS}`,
  constraints: `SELECT n.nspname || '.' || coalesce(c.relname, '') || ' ' || k.conname || ' ' || pg_get_constraintdef(k.oid) AS line
                  FROM pg_constraint k JOIN pg_namespace n ON n.oid = k.connamespace LEFT JOIN pg_class c ON c.oid = k.conrelid
                 WHERE n.nspname ${USER_SCHEMAS} AND k.contype <> 'n' AND ${notOfAnExtension('pg_constraint', 'k.oid')}`,
  triggers: 'SELECT pg_get_triggerdef(oid) AS line FROM pg_trigger WHERE NOT tgisinternal',
  functions: `SELECT n.nspname || '.' || p.proname || '(' || pg_get_function_identity_arguments(p.oid) || ') ' || md5(p.prosrc) AS line
                FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
               WHERE n.nspname ${USER_SCHEMAS} AND ${notOfAnExtension('pg_proc', 'p.oid')}`,
  views: `SELECT n.nspname || '.' || c.relname || ' ' || c.relkind::text || ' ' || md5(pg_get_viewdef(c.oid)) AS line
            FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
           WHERE c.relkind IN ('v', 'm') AND n.nspname ${USER_SCHEMAS} AND ${notOfAnExtension('pg_class', 'c.oid')}`,
  extensions: "SELECT extname || ' ' || extversion AS line FROM pg_extension",
  owners: `SELECT n.nspname || '.' || c.relname || ' ' || pg_get_userbyid(c.relowner) AS line
             FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE c.relkind IN ('r', 'v', 'm', 'S', 'p') AND n.nspname ${USER_SCHEMAS}`,
  grants: `SELECT n.nspname || '.' || c.relname || ' ' || acl::text AS line
             FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace CROSS JOIN LATERAL unnest(c.relacl) AS acl
            WHERE n.nspname ${USER_SCHEMAS} AND c.relkind IN ('r', 'v', 'm', 'S', 'p')`,
  database: `SELECT 'owner ' || pg_get_userbyid(datdba) AS line FROM pg_database WHERE datname = current_database()
             UNION ALL SELECT 'grant ' || acl::text FROM pg_database CROSS JOIN LATERAL unnest(datacl) AS acl WHERE datname = current_database()
             UNION ALL SELECT 'set ' || setting FROM pg_db_role_setting CROSS JOIN LATERAL unnest(setconfig) AS setting
                        WHERE setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database()) AND setrole = 0
             UNION ALL SELECT 'comment ' || shobj_description(oid, 'pg_database') FROM pg_database
                        WHERE datname = current_database() AND shobj_description(oid, 'pg_database') IS NOT NULL`,
};

const withoutLastWord = (line: string) => line.slice(0, line.lastIndexOf(' '));

/** What another major version words otherwise although nothing is lost. `what` of such a line is the same in both, and is compared. */
const ACROSS_VERSIONS: Partial<Record<(typeof OBJECTS)[number], { as: string; what: (line: string) => string }>> = {
  // Each version has words of its own for the same query.
  views: { as: 'by name', what: withoutLastWord },
  // A dump has an extension made in the version that the server brings.
  extensions: { as: 'by name', what: withoutLastWord },
  // Which came with 17, and which an owner then has, too.
  grants: {
    as: 'but MAINTAIN',
    what: (line) => line.replace(/=[\w*]*\/(?=[^=]*$)/, (rights) => rights.replace(/m\*?/, '')),
  },
};

/** Takes the inventory through a reading that should see one snapshot. `onTable` is told of each table that was read. */
export async function readPostgresInventory(
  { query }: Reading,
  database: string,
  onTable: (table: string, done: number, total: number) => void = () => {},
): Promise<PostgresInventory> {
  const [server] = await query<{ version: string }>("SELECT current_setting('server_version') AS version");
  const names = await tableNames(query);
  const tables: PostgresInventory['tables'] = {};
  for (const [index, { schema, name }] of names.entries()) {
    const [row] = await query<{ rows: string; checksum: string }>(
      `SELECT count(*)::text AS rows, coalesce(sum(hashtextextended(t::text, 0)::numeric), 0)::text AS checksum
         FROM ONLY ${quoteIdentifier(schema)}.${quoteIdentifier(name)} t`,
    );
    tables[`${schema}.${name}`] = { rows: Number(row!.rows), checksum: row!.checksum };
    onTable(`${schema}.${name}`, index + 1, names.length);
  }
  const sequences = await query<{ name: string; value: string }>(
    `SELECT schemaname || '.' || sequencename AS name, coalesce(last_value::text, 'unused') AS value FROM pg_sequences ORDER BY 1`,
  );
  const objects = await definitionsIn(query);
  const invalid = await query<{ name: string }>(
    'SELECT indexrelid::regclass::text AS name FROM pg_index WHERE NOT indisvalid ORDER BY 1',
  );
  return {
    database,
    serverVersion: server!.version,
    systemIdentifier: await systemIdentifier(query),
    tables,
    sequences: Object.fromEntries(sequences.map((one) => [one.name, one.value])),
    objects,
    invalidIndexes: invalid.map((one) => one.name),
  };
}

const tableNames = (query: Reading['query']) =>
  query<{ schema: string; name: string }>(
    `SELECT n.nspname AS schema, c.relname AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
      WHERE c.relkind = 'r' AND n.nspname ${USER_SCHEMAS} AND ${notOfAnExtension('pg_class', 'c.oid')} ORDER BY 1, 2`,
  );

async function definitionsIn(query: Reading['query']): Promise<PostgresInventory['objects']> {
  const objects = {} as PostgresInventory['objects'];
  for (const kind of OBJECTS) {
    objects[kind] = (await query<{ line: string }>(`${DEFINITIONS[kind]} ORDER BY 1`)).map((row) => row.line);
  }
  return objects;
}

/** `tables` (`schema.table`), and every kind of definition that an inventory has: no row of a table is read for it. */
export function definitionsOf(postgres: Postgres): Promise<Record<string, string[]>> {
  return postgres.reading(
    async ({ query }) => {
      const tables = await tableNames(query);
      return { tables: tables.map(({ schema, name }) => `${schema}.${name}`), ...(await definitionsIn(query)) };
    },
    { snapshot: true },
  );
}

/** Asked behind a privilege check: a refused query would end the snapshot's transaction. */
async function systemIdentifier(query: Reading['query']): Promise<string> {
  const [allowed] = await query<{ yes: boolean }>(
    "SELECT has_function_privilege('pg_control_system()', 'EXECUTE') AS yes",
  );
  if (!allowed?.yes) return '';
  const [row] = await query<{ id: string }>('SELECT system_identifier::text AS id FROM pg_control_system()');
  return row?.id ?? '';
}

export function inventoryPostgres(
  postgres: Postgres,
  onTable?: (table: string, done: number, total: number) => void,
): Promise<PostgresInventory> {
  return postgres.reading((reading) => readPostgresInventory(reading, postgres.database, onTable), {
    snapshot: true,
  });
}

/**
 * Everything that must be equal after a restore. Server version and system identifier may differ: a new server is no loss, and of
 * another major version what it words otherwise is compared as far as it can be, which the check says.
 */
export function comparePostgres(expected: PostgresInventory, actual: PostgresInventory): Check[] {
  const checks = [allThere('postgres', 'tables', Object.keys(expected.tables), Object.keys(actual.tables))];
  for (const [table, { rows, checksum }] of Object.entries(expected.tables)) {
    const now = actual.tables[table];
    checks.push(equal(`postgres table ${table}`, 'rows', rows, now?.rows));
    checks.push(equal(`postgres table ${table}`, 'row checksum', checksum, now?.checksum));
  }
  for (const [sequence, value] of Object.entries(expected.sequences)) {
    checks.push(equal(`postgres sequence ${sequence}`, 'last value', value, actual.sequences[sequence]));
  }
  const sameMajor = majorOf(expected) === majorOf(actual);
  for (const kind of OBJECTS) {
    const before = expected.objects[kind];
    const now = actual.objects[kind] ?? [];
    if (!before) continue;
    const { as, what } = (!sameMajor && ACROSS_VERSIONS[kind]) || { as: '', what: String };
    checks.push(allThere('postgres', as ? `${kind} (${as})` : kind, before.map(what), now.map(what)));
  }
  checks.push(sameSet('postgres', 'invalid indexes', [], actual.invalidIndexes));
  return checks;
}

const majorOf = ({ serverVersion }: PostgresInventory) => Number.parseInt(serverVersion, 10);
