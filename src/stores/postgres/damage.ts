import { messageOf } from '../../words.js';
import { amcheckOf, runAmcheck } from './amcheck.js';
import { DATABASE_MISSING, isDamage, type Postgres, sqlState } from './connection.js';
import { type DamagedFile, lookAtPages, type PagedFile } from './page-look.js';
import { nameOf, readTable, type Table, type TableDamage, type TableReading } from './readable-rows.js';
import { filesIn, type Relations, relationsOf } from './relations.js';
import { toolsFor } from './tools.js';

// What is damaged in a Postgres server that answers, and what of it can still be read. Nothing is changed.

/** What an examination found. */
export interface Damage {
  serverVersion: string;
  /** Whether the server keeps a checksum on every page: without, most damage shows in no error. */
  checksums: boolean;
  /** By database, as the server itself has counted them. */
  checksumFailures: Record<string, number>;
  /** `refused`: nobody is let into novamem's database; `closed`: nor into those through which another is made. */
  database: 'there' | 'absent' | 'refused' | 'closed';
  /** Why nobody is let in. */
  refusal?: string;
  /** Tables of novamem with rows that cannot be read, that no query can read, or whose file is shorter than it was. */
  tables: TableDamage[];
  /** Catalog tables that cannot be read. */
  catalogs: TableDamage[];
  files: DamagedFile[];
  /** What pg_amcheck found, a line each. */
  amcheck: string[];
  /** How much was looked at, of how much there is. */
  looked: { tables: number; ofTables: number; files: number; ofFiles: number };
  rows: { readable: number; expected: number };
  /** What was not looked at, and why. */
  notLooked: { what: string; next?: string }[];
}

export interface ExamineOptions {
  onProgress: (done: number, total: number, text: string) => void;
  onLine: (line: string) => void;
  patienceMs: number;
  signal: AbortSignal;
}

interface Server {
  version: string;
  major: number;
  blockSize: number;
  checksums: boolean;
  superuser: boolean;
  databaseOid: number | null;
  templateOid: number;
}

/** Where the damage is: what a restore of the database mends, and what it does not. */
export interface Extent {
  /** novamem's own tables and indexes. */
  data: boolean;
  /** The catalogs of its database: nothing can be dropped or dumped there with confidence. */
  catalog: boolean;
  /** What every database of the server needs: only a fresh data directory mends that. */
  cluster: boolean;
}

/** Answers that belong to every database: which transactions were committed, and the shared catalogs. */
const OF_THE_CLUSTER = /relation "?global\/|pg_xact|pg_multixact|pg_subtrans|status of transaction|pg_control/;

export function extentOf(damage: Damage): Extent {
  const errors = [
    damage.refusal ?? '',
    ...[...damage.tables, ...damage.catalogs].flatMap((one) => one.lost.map(({ why }) => why)),
  ];
  const inScope = (scope: string) => damage.files.some((file) => file.scope === scope);
  return {
    data: damage.tables.length > 0 || inScope('novamem') || damage.amcheck.length > 0,
    catalog: inScope('catalog') || damage.catalogs.length > 0 || damage.database === 'refused',
    cluster: inScope('cluster') || damage.database === 'closed' || errors.some((error) => OF_THE_CLUSTER.test(error)),
  };
}

/** Examines novamem's database and what it stands on. Rejects where the server does not answer at all. */
export async function examineDamage(postgres: Postgres, options: ExamineOptions): Promise<Damage> {
  const until = Date.now() + options.patienceMs;
  const damage: Damage = {
    serverVersion: '',
    checksums: false,
    checksumFailures: {},
    database: 'there',
    tables: [],
    catalogs: [],
    files: [],
    amcheck: [],
    looked: { tables: 0, ofTables: 0, files: 0, ofFiles: 0 },
    rows: { readable: 0, expected: 0 },
    notLooked: [],
  };
  let through: string;
  try {
    through = await postgres.maintenanceDatabase();
  } catch (error) {
    if (!isDamage(error)) throw error;
    return { ...damage, database: 'closed', refusal: messageOf(error) };
  }
  const server = await describe(postgres, through);
  damage.serverVersion = server.version;
  damage.checksums = server.checksums;
  if (server.databaseOid === null) damage.database = 'absent';

  let relations: Relations = { tables: [], files: [], estimated: false };
  if (damage.database === 'there') {
    try {
      relations = await relationsOf(postgres, postgres.database, server.blockSize);
    } catch (error) {
      if (!isDamage(error)) throw error;
      damage.database = 'refused';
      damage.refusal = messageOf(error);
    }
  }
  if (relations.estimated)
    damage.notLooked.push({
      what: 'what was added since the last ANALYZE: a session holds a table and keeps its size from us',
    });
  const files = await filesToLookAt(postgres, through, server, relations, damage);
  const total = [...files, ...relations.tables].reduce((sum, one) => sum + one.bytes, 0);
  let done = 0;
  const tell = (bytes: number, text: string) => {
    done += bytes;
    options.onProgress(Math.min(done, total), total, text);
  };
  await readTables(postgres, relations.tables, server, damage, { ...options, until, tell });
  if (files.length > 0) {
    const looked = await postgres.reading(
      (reading) =>
        lookAtPages(reading, files, {
          blockSize: server.blockSize,
          checksums: server.checksums,
          onBytes: (bytes) => tell(bytes, 'pages of tables, indexes and catalogs'),
          until,
          signal: options.signal,
        }),
      { database: through },
    );
    damage.files = looked.damaged;
    damage.looked.files = files.length - looked.left.length;
    damage.looked.ofFiles = files.length;
    if (looked.left.length > 0)
      damage.notLooked.push({ what: `the pages of ${looked.left.length} files: no time was left` });
  }
  if (damage.database === 'there') await lookWithAmcheck(postgres, server, damage, until, options);
  // Last: what was read just now counts as well.
  damage.checksumFailures = await checksumFailures(postgres, through).catch(() => ({}));
  return damage;
}

async function describe(postgres: Postgres, through: string): Promise<Server> {
  const [row] = await postgres.read<Omit<Server, 'major'> & { number: number }>(
    `SELECT current_setting('server_version') AS version, current_setting('server_version_num')::int AS number,
            current_setting('block_size')::int AS "blockSize", current_setting('data_checksums') = 'on' AS checksums,
            coalesce((SELECT rolsuper FROM pg_roles WHERE rolname = current_user), false) AS superuser,
            (SELECT oid::int8::float8 FROM pg_database WHERE datname = $1) AS "databaseOid",
            (SELECT oid::int8::float8 FROM pg_database WHERE datname = 'template0') AS "templateOid"`,
    [postgres.database],
    through,
  );
  return { ...row!, version: row!.version.split(' ')[0]!, major: Math.floor(row!.number / 10_000) };
}

/** Checksum failures that the server has counted, by database; `(shared)` for what all databases share. */
export async function checksumFailures(postgres: Postgres, through: string): Promise<Record<string, number>> {
  const rows = await postgres.read<{ name: string; failures: number }>(
    `SELECT coalesce(datname, '(shared)') AS name, checksum_failures::int AS failures FROM pg_stat_database WHERE checksum_failures > 0`,
    [],
    through,
  );
  return Object.fromEntries(rows.map(({ name, failures }) => [name, failures]));
}

/** The files of the database, by its catalog or, where that cannot be read, by its folder; and those that every database needs. */
async function filesToLookAt(
  postgres: Postgres,
  through: string,
  server: Server,
  relations: Relations,
  damage: Damage,
): Promise<PagedFile[]> {
  if (!server.superuser) {
    damage.notLooked.push({
      what: `indexes, and pages that are sound in memory only: ${postgres.user} is no superuser and may not read the server's files`,
      next: 'look again as a superuser: put its name into postgres.url of the profile',
    });
    return [];
  }
  const ofCluster = [
    ...(await filesIn(postgres, through, 'global', 'shared catalog', 'cluster')),
    ...(await filesIn(postgres, through, `base/${server.templateOid}`, 'file of template0', 'cluster')),
  ];
  const own =
    damage.database === 'refused' && server.databaseOid !== null
      ? await filesIn(postgres, through, `base/${server.databaseOid}`, 'file', 'catalog')
      : relations.files;
  const named = new Map(own.map((file) => [file.path, file]));
  return [...own, ...ofCluster.filter((file) => !named.has(file.path))];
}

async function readTables(
  postgres: Postgres,
  tables: Relations['tables'],
  server: Server,
  damage: Damage,
  { until, signal, tell }: ExamineOptions & { until: number; tell: (bytes: number, text: string) => void },
): Promise<void> {
  for (const table of tables) {
    const ours = table.scope === 'novamem';
    damage.looked.ofTables += 1;
    const reading = await readOrSayWhyNot(postgres, table, {
      database: postgres.database,
      blockSize: server.blockSize,
      onBlocks: (blocks) => tell(blocks * server.blockSize, `rows of ${nameOf(table)}`),
      mayCrash: false,
      until,
      signal,
    });
    if (typeof reading === 'string') {
      // Some catalogs are for superusers only: that is as it should be.
      if (ours) damage.notLooked.push({ what: `table ${nameOf(table)}: ${reading}` });
      continue;
    }
    if (reading.stopped === undefined) damage.looked.tables += 1;
    else damage.notLooked.push({ what: `table ${nameOf(table)}: ${reading.stopped}` });
    if (ours) {
      damage.rows.readable += reading.rows;
      damage.rows.expected += reading.expectedRows ?? reading.rows;
    }
    const { readable: _, ...found } = reading;
    const hindered = found.stopped !== undefined && Date.now() < until;
    if (ours && (found.lost.length > 0 || found.missingBlocks > 0 || hindered)) damage.tables.push(found);
    if (!ours && found.lost.length > 0) damage.catalogs.push(found);
  }
}

async function readOrSayWhyNot(
  postgres: Postgres,
  table: Table,
  options: Parameters<typeof readTable>[2],
): Promise<TableReading | string> {
  try {
    return await readTable(postgres, table, options);
  } catch (error) {
    options.signal.throwIfAborted();
    if (sqlState(error) === '' || sqlState(error) === DATABASE_MISSING) throw error;
    return messageOf(error);
  }
}

async function lookWithAmcheck(
  postgres: Postgres,
  server: Server,
  damage: Damage,
  until: number,
  { signal, onLine }: ExamineOptions,
): Promise<void> {
  const left = until - Date.now();
  if (left <= 0) return void damage.notLooked.push({ what: 'with pg_amcheck: no time was left' });
  try {
    const amcheck = await amcheckOf(postgres, await toolsFor(server.major));
    if (!amcheck.usable)
      return void damage.notLooked.push({ what: amcheck.why, ...(amcheck.next ? { next: amcheck.next } : {}) });
    const limited = AbortSignal.any([signal, AbortSignal.timeout(left)]);
    damage.amcheck = await runAmcheck(postgres, amcheck.program, limited, onLine);
  } catch (error) {
    signal.throwIfAborted();
    damage.notLooked.push({ what: `with pg_amcheck: ${messageOf(error)}` });
  }
}
