import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { type Change, type Gateway, openGateway } from '../../src/hosts/gateway.js';
import { postgresPointInTime } from '../../src/steps/postgres/point-in-time.js';
import type { RecoveryFacts } from '../../src/steps/postgres/recovery.js';
import type { Finding, StepContext } from '../../src/steps/step.js';
import type { BackupSet } from '../../src/stores/backup-set/backup-set.js';
import { comparePostgres, inventoryPostgres, type PostgresInventory } from '../../src/stores/postgres/inventory.js';
import { eventually } from './eventually.js';
import { follow, open, type Performed, perform, type RealCluster, realCluster } from './sandbox.js';

export type Recovered = Performed<RecoveryFacts> & { ctx: StepContext; changes: Change[] };

/** A moment as the server's own clock tells it: `2026-11-21 03:10:00.123456 UTC`. */
export type Moment = string;

/**
 * A real cluster with a base backup and a story after it, each chapter a transaction of its own:
 * 157 rows · `before200` · 43 rows more · `before` the deletion · all rows deleted · `after` · one row.
 */
export interface Story {
  real: RealCluster;
  backup: BackupSet;
  before200: Moment;
  before: Moment;
  /** What there was just before the deletion. */
  inventory: PostgresInventory;
  /** The transaction that deleted. */
  deletion: number;
  after: Moment;
}

export async function tellStory(memories = 200): Promise<Story> {
  const real = await realCluster(memories);
  await real.sql('CREATE TABLE story (id int PRIMARY KEY, text text NOT NULL)');
  const backup = await real.backup(real.cluster.profile, { 'backup-base': { take: true } });
  await real.sql("INSERT INTO story SELECT n, 'first ' || n FROM generate_series(1, 157) n");
  await nextSegment(real);
  const before200 = await momentOf(real);
  await real.sql("INSERT INTO story SELECT n, 'second ' || n FROM generate_series(158, 200) n");
  const inventory = await inventoryPostgres(real.cluster.postgres);
  await nextSegment(real);
  const before = await momentOf(real);
  const [row] = await real.sql(
    'BEGIN; DELETE FROM story; DELETE FROM memory_entries WHERE id IN (SELECT id FROM memory_entries ORDER BY id LIMIT 50); SELECT txid_current()::text AS id INTO TEMP seen; COMMIT; SELECT id FROM seen',
  );
  const after = await momentOf(real);
  await nextSegment(real);
  await real.sql("INSERT INTO story VALUES (1000, 'later')");
  await nextSegment(real);
  return { real, backup, before200, before, inventory, deletion: Number(row!.id), after };
}

export async function momentOf(real: RealCluster): Promise<Moment> {
  const [row] = await real.sql(
    "SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US') || ' UTC' AS at",
  );
  return row!.at as string;
}

/** Ends the segment that is written to, and waits until it is archived. */
export async function nextSegment(real: RealCluster): Promise<string> {
  const [row] = await real.sql('SELECT pg_walfile_name(pg_current_wal_lsn()) AS name');
  await real.sql('SELECT pg_switch_wal()');
  const name = row!.name as string;
  await eventually(`${name} is archived`, () => existsSync(join(real.places.walArchive, name)));
  return name;
}

/** Whether a change starts the server of the cluster. */
export const startsServer = ({ channel, text }: Change): boolean =>
  channel === 'service' && /\bpostgres -D /.test(text);

/** Runs the step to its end; `onChange` is told of every change before it is made, and may spoil it. */
export async function recover(
  real: RealCluster,
  given: Record<string, unknown>,
  {
    onChange = () => {},
    earlier,
    ctx: kept,
    signal,
  }: {
    onChange?: (change: Change) => void;
    earlier?: Partial<RecoveryFacts>;
    ctx?: StepContext;
    signal?: AbortSignal;
  } = {},
): Promise<Recovered> {
  const changes: Change[] = [];
  const gateway: Gateway = openGateway((change) => {
    changes.push(change);
    onChange(change);
  });
  const ctx = { ...(kept ?? real.context()), gateway, ...(earlier ? { earlier } : {}) } as StepContext;
  const told = await perform(postgresPointInTime, given, ctx, signal ? { signal } : {});
  return { ...told, facts: { ...earlier, ...told.facts }, ctx, changes };
}

/** Does something once, at the moment when the recovered server is about to be started. */
export function beforeReplay(spoil: () => void): (change: Change) => void {
  let done = false;
  return (change) => {
    if (done || !startsServer(change)) return;
    done = true;
    spoil();
  };
}

/** Puts back what was there before; answers what the undo said. */
export async function undo({ ctx, facts }: Pick<Recovered, 'ctx' | 'facts'>): Promise<string[]> {
  const undone = await follow(
    postgresPointInTime.undo!(postgresPointInTime.params.parse({}), { ...ctx, gateway: open }, facts),
  );
  if (undone.error) throw undone.error;
  return undone.output;
}

export const checksOf = async ({ ctx, facts }: Pick<Recovered, 'ctx' | 'facts'>) =>
  postgresPointInTime.verify(postgresPointInTime.params.parse({}), ctx, facts as RecoveryFacts);

/** What of the evidence is not as expected. */
export const failedChecks = async (recovered: Pick<Recovered, 'ctx' | 'facts'>) =>
  (await checksOf(recovered)).filter((check) => !check.ok);

export const look = (real: RealCluster, given: Record<string, unknown>, more: Partial<StepContext> = {}) =>
  postgresPointInTime.check(postgresPointInTime.params.parse(given), real.context(more));

export const blocking = (found: readonly Finding[]) => found.filter((finding) => finding.level === 'blocking');

/** What differs from an inventory, as sentences. */
export async function differences(real: RealCluster, expected: PostgresInventory): Promise<string[]> {
  return comparePostgres(expected, await inventoryPostgres(real.cluster.postgres))
    .filter((check) => !check.ok)
    .map((check) => `${check.subject}, ${check.what}: expected ${check.expected}, found ${check.actual}`);
}

export async function rowsOf(real: RealCluster, table = 'story'): Promise<number> {
  const [row] = await real.sql(`SELECT count(*)::int AS count FROM ${table}`);
  return row!.count as number;
}

/** What lies beside the data directory of the cluster because of recoveries. */
export const leftBeside = (real: RealCluster) =>
  readdirSync(real.record.folder).filter((name) => /^postgres\./.test(name));
