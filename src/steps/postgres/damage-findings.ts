import { extentOf } from '../../stores/postgres/damage.js';
import { sizeOf } from '../../words.js';
import type { Finding, StepContext } from '../step.js';
import { damageSummary, few, isDamaged } from './damage-words.js';
import { FRESH_DATA_DIRECTORY } from './down.js';
import { postgresExamine } from './examine.js';
import type { RestoreParams } from './restoring.js';

/** What the examination of this run means for a restore: none where nothing was examined. */
export async function damageFindings(p: RestoreParams, ctx: StepContext): Promise<Finding[]> {
  const damage = ctx.factsOf(postgresExamine).at(-1);
  if (!damage) return [];
  const extent = extentOf(damage);
  const summary = damageSummary(damage);
  if (extent.cluster) {
    return [
      {
        level: 'blocking',
        message: `neither strategy helps: what is damaged belongs to the whole server (${summary})`,
        next: FRESH_DATA_DIRECTORY(ctx),
      },
    ];
  }
  if (!isDamaged(damage)) {
    const message = damage.database === 'absent' ? summary : `the examination: ${summary}`;
    return [{ level: damage.database === 'absent' ? 'info' : 'warning', message }];
  }
  const said: Finding = { level: 'info', message: `the examination: ${summary}` };
  if (p.strategy === 'swap') return [said, ...(await roomFindings(ctx))];
  if (extent.catalog) {
    return [
      {
        level: 'blocking',
        message: `the catalogs of the database are damaged (${summary}): what is in it can neither be dumped nor dropped with confidence`,
        next: 'choose swap, which restores beside it (--set <step>.strategy=swap)',
      },
    ];
  }
  const unreadable = damage.tables.filter((one) => one.lost.length > 0).map((one) => one.table);
  if (unreadable.length === 0) return [said];
  const message = `pg_dump cannot read ${few(unreadable)}, so no safety copy of the database can be made`;
  if (p.safetyCopy === 'waived')
    return [said, { level: 'warning', message: `${message}: it is replaced WITHOUT a way back (waived)` }];
  return [
    {
      level: 'blocking',
      message,
      next: 'choose swap, which keeps it as it is (--set <step>.strategy=swap); or go on without a way back (--set <step>.safetyCopy=waived)',
    },
  ];
}

/** Restoring beside needs room for a second database. The disk can be asked only where it is this machine's. */
async function roomFindings({ cluster }: StepContext): Promise<Finding[]> {
  const { dataDir } = cluster.profile.postgres;
  const free = await cluster.freeBytesOf('postgres');
  const [size] = await cluster.postgres
    .maintenanceDatabase()
    .then((through) =>
      cluster.postgres.read<{ bytes: number }>(
        'SELECT pg_database_size(oid)::float8 AS bytes FROM pg_database WHERE datname = $1',
        [cluster.postgres.database],
        through,
      ),
    )
    .catch(() => []);
  if (!size) return [];
  const message = `the old database is kept beside the new one: ${sizeOf(size.bytes)}; ${free === undefined ? 'how much room its disk has cannot be seen from here' : `${sizeOf(free)} are free in ${dataDir}`}`;
  return [{ level: free !== undefined && free < size.bytes ? 'warning' : 'info', message }];
}
