import type { ClusterStatus } from '../engine/cluster-status.js';
import type { PastDrill } from '../engine/proof.js';

/**
 * How a cluster stands with its backups, in the text format of Prometheus, for node_exporter's textfile collector. What is not
 * known is left out: a zero would be a lie.
 */
export function statusMetrics(status: ClusterStatus): string[] {
  const { backup, proven, drills, unusable, unread, drillDueAt, overdue, state } = status;
  const [last] = drills;
  const of = (value: number | undefined | null, labels: Record<string, string> = {}): Sample[] =>
    value === undefined || value === null ? [] : [{ labels: { cluster: status.cluster, ...labels }, value }];
  return [
    ...gauge(
      'backup_timestamp_seconds',
      'The moment whose data the newest backup set with a manifest holds.',
      of(backup && seconds(backup.takenAt)),
    ),
    ...gauge(
      'backup_age_seconds',
      'Age of the newest backup set when this was written: the RPO of a disaster then.',
      of(backup && backup.ageMs / 1000),
    ),
    ...gauge('backups_unusable', 'Backup roots, and folders below them, that cannot be used.', of(unusable.length)),
    ...gauge(
      'last_proven_restore_timestamp_seconds',
      'When a backup was last proven by restoring it.',
      of(proven && seconds(proven.at)),
    ),
    ...gauge(
      'last_proven_restore_rto_seconds',
      'How long that restore took, from its start to healthy.',
      of(proven && proven.rtoMs / 1000),
    ),
    ...gauge(
      'last_proven_restore_rpo_seconds',
      'Age of the data that came back with it.',
      of(proven?.rpoMs === undefined || proven.rpoMs === null ? null : proven.rpoMs / 1000),
    ),
    ...gauge(
      'last_proven_restore_recall',
      '1 when the searches recorded with the backup found the same with it, 0 when that was not proven.',
      of(proven && (proven.recallUnproven === null ? 1 : 0)),
    ),
    ...gauge(
      'drill_due_timestamp_seconds',
      'When the next drill is due; absent where nothing was ever proven.',
      of(drillDueAt && seconds(drillDueAt)),
    ),
    ...gauge('drill_overdue', '1 when a drill is due, or nothing was ever proven.', of(overdue ? 1 : 0)),
    ...gauge('last_drill_timestamp_seconds', 'When the last drill began.', of(last && seconds(last.startedAt))),
    ...gauge(
      'last_drill_outcome',
      '1 for the outcome of the last drill, 0 for every other.',
      last ? OUTCOMES.flatMap((outcome) => of(outcome === last.outcome ? 1 : 0, { outcome })) : [],
    ),
    ...gauge(
      'status_good',
      '1 when status would exit 0: proven, in time, a backup there, the last drill not failed.',
      of(state === 'proven' ? 1 : 0),
    ),
    ...gauge('runs_unreadable', 'Recorded runs that cannot be read.', of(unread.length)),
  ];
}

interface Sample {
  labels: Record<string, string>;
  value: number;
}

const OUTCOMES: PastDrill['outcome'][] = [
  'recovered',
  'recovered-with-exceptions',
  'failed',
  'aborted',
  'unfinished',
];

const seconds = (at: Date) => at.getTime() / 1000;

function gauge(name: string, help: string, samples: readonly Sample[]): string[] {
  if (samples.length === 0) return [];
  const full = `novamem_runbook_${name}`;
  return [
    `# HELP ${full} ${help}`,
    `# TYPE ${full} gauge`,
    ...samples.map(({ labels, value }) => `${full}{${labelText(labels)}} ${value}`),
  ];
}

const labelText = (labels: Record<string, string>) =>
  Object.entries(labels)
    .map(([name, value]) => `${name}="${escaped(value)}"`)
    .join(',');

/** A label's value as the format wants it. */
const escaped = (value: string) => value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
