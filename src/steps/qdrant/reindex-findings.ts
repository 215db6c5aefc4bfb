import { deepHealth, troubleOf } from '../../stores/novamem/deep-health.js';
import { updateRights } from '../../stores/novamem/embedding-queue.js';
import { describeMemories, type Memories } from '../../stores/novamem/memories.js';
import { REINDEX, reindexSupport } from '../../stores/novamem/reindex.js';
import { listCollections } from '../../stores/qdrant/inventory.js';
import { durationOf, plural } from '../../words.js';
import type { Finding, StepContext } from '../step.js';
import { pointsNow } from './snapshots.js';

// What `qdrant.reindex` has before it: how many rows, how long, and what stands in its way.

/** What of its parameters decides how many rows there are. */
export interface Reach {
  by: 'endpoint' | 'queue';
  only: 'all' | 'missing';
  afterRestore: boolean;
  perMinute: number;
}

export interface Outlook {
  /** Undefined where Postgres does not answer or has no such table. */
  memories: Memories | undefined;
  /** Undefined where Qdrant does not answer. */
  points: number | undefined;
  /** About how many get a new vector; undefined where it cannot be told yet. */
  rows: number | undefined;
}

export const memoriesOf = (count: number) => plural(count, 'memory', 'memories');

export async function outlookOf(reach: Reach, { cluster, backup, phase }: StepContext): Promise<Outlook> {
  const memories = await describeMemories(cluster.postgres, backup?.takenAt ?? null).catch(() => undefined);
  const points = await readablePoints(cluster).catch(() => undefined);
  return {
    memories,
    points,
    rows: memories && rowsOf(reach, memories, points, phase === 'preflight', backup?.takenAt),
  };
}

function rowsOf(
  { only, afterRestore }: Reach,
  { memories, newer, changed }: Memories,
  points: number | undefined,
  isEarly: boolean,
  takenAt: Date | null | undefined,
): number | undefined {
  if (only === 'all') return memories;
  const without = Math.max(0, memories - (points ?? 0));
  if (!afterRestore) return without;
  // Before the restore has been, only what is younger than the backup is known to be missing after it.
  if (isEarly) return takenAt ? newer + changed : undefined;
  return Math.max(without, newer + changed);
}

async function readablePoints({ qdrant }: StepContext['cluster']): Promise<number> {
  const counts = await pointsNow(qdrant, await listCollections(qdrant));
  return [...counts.values()].reduce<number>((sum, count) => sum + (count ?? 0), 0);
}

export const timeFor = (rows: number, perMinute: number) => (rows * 60_000) / perMinute;

/** `5,200 memories, about 13 min 00 s at 400 a minute` */
export function amountOf(rows: number, perMinute: number): string {
  const time = rows === 0 ? '' : `, about ${durationOf(timeFor(rows, perMinute))} at ${perMinute} a minute`;
  return `${memoriesOf(rows)}${time}`;
}

/** A collection that a failed restore has broken takes no vector either. */
export async function brokenFindings({ qdrant }: StepContext['cluster']): Promise<Finding[]> {
  const counts = await pointsNow(qdrant, await listCollections(qdrant));
  const broken = [...counts].filter(([, count]) => count === undefined).map(([name]) => name);
  if (broken.length === 0) return [];
  return [
    {
      level: 'blocking',
      message: `${broken.join(', ')}: there, but cannot be read, so novamem can write no vector into it`,
      next: `delete it, novamem makes it again: ${broken.map((name) => `curl -fsS ${qdrant.curlArguments}-X DELETE '${qdrant.urlOf('collections', name)}'`).join('; ')}`,
    },
  ];
}

export const NO_QUEUE = 'this novamem keeps no queue of memories to embed (memory_entries has no column embedded_at)';

export async function queueFindings({ afterRestore }: Reach, ctx: StepContext, found: Memories): Promise<Finding[]> {
  if (found.waiting === undefined)
    return afterRestore
      ? [{ level: 'warning', message: `${NO_QUEUE}: memories without a vector would stay so` }]
      : [
          {
            level: 'blocking',
            message: NO_QUEUE,
            next: 'go another way: snapshots, or the endpoint where the server has it',
          },
        ];
  const { mayUpdate, triggers, canSilence } = await updateRights(ctx.cluster.postgres);
  const findings: Finding[] = [];
  if (!mayUpdate)
    findings.push({
      level: 'blocking',
      message: `role ${ctx.cluster.postgres.user} may not update memory_entries.embedded_at`,
      next: 'connect as the role that owns the tables (postgres.url in the profile)',
    });
  if (triggers.length > 0 && !canSilence)
    findings.push({
      level: 'warning',
      message: `every update of a memory sets off ${triggers.join(', ')}, and role ${ctx.cluster.postgres.user} cannot keep that from happening: what it changes (updated_at?) is not put back by an undo`,
      next: 'connect as a superuser, or accept it',
    });
  if (found.waiting > 0)
    findings.push({ level: 'info', message: `${memoriesOf(found.waiting)} wait for a vector already` });
  return findings;
}

export async function endpointFindings(ctx: StepContext, isSure: boolean): Promise<Finding[]> {
  const { novamem } = ctx.cluster;
  if (!novamem)
    return [
      {
        level: 'blocking',
        message: 'the profile does not say where novamem is',
        next: 'add novamem.url to the profile',
      },
    ];
  const { has, seen } = await reindexSupport(novamem);
  if (has === 'yes') return [{ level: 'info', message: seen }];
  if (isSure)
    return [{ level: 'warning', message: `${seen}; it is sent all the same, since endpointExists was set` }];
  if (has === 'unknown')
    return [{ level: 'warning', message: `whether this novamem has ${REINDEX} cannot be told now: ${seen}` }];
  return [
    {
      level: 'blocking',
      message: `this novamem has no ${REINDEX}: ${seen}`,
      next: 'go another way (the queue, snapshots); if you know that it has it: --set <step>.endpointExists=true',
    },
  ];
}

/** What novamem says of itself while it runs. */
export async function serviceFindings({ cluster: { novamem } }: StepContext): Promise<Finding[]> {
  if (!novamem)
    return [
      {
        level: 'warning',
        message: 'the profile does not say where novamem is: it has to run, and only the stores tell how far it is',
        next: 'add novamem.url to the profile',
      },
    ];
  const deep = await deepHealth(novamem);
  const trouble = troubleOf(deep);
  return /embedder/.test(trouble)
    ? [
        {
          level: 'warning',
          message: `novamem says: ${trouble}. Nothing gets a vector until its embedder works`,
          next: "look at novamem's log and at the embedder that it uses",
        },
      ]
    : [];
}
