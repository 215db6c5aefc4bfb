import type { ClusterStatus } from '../engine/cluster-status.js';
import type { PastDrill, ProvenRestore } from '../engine/proof.js';
import { durationOf, instantOf, plural } from '../words.js';

/** How a cluster stands with its backups, for people. `profile`: what to give to `--profile` to mean it, as a shell takes it. */
export function statusLines(status: ClusterStatus, profile: string): string[] {
  const { cluster, production, at, backup, proven, unproven, drills, unusable, unread } = status;
  const ago = (since: Date) => `${durationOf(at.getTime() - since.getTime())} ago`;
  return [
    `${cluster}${production ? ' (PRODUCTION)' : ''}: ${VERDICTS[status.state]}`,
    '',
    ...(backup
      ? [
          row('Newest backup', `${backup.id}, of ${instantOf(backup.takenAt)}`),
          row('RPO now', `${durationOf(backup.ageMs)}: what is younger would be lost`),
        ]
      : [row('Newest backup', 'none with a manifest')]),
    ...(proven
      ? [
          row('Last proven', `${ago(proven.at)}, ${instantOf(proven.at)}, by ${BY[proven.by]}`),
          row('', `RTO ${durationOf(proven.rtoMs)}${rpoOf(proven.rpoMs)}`),
          row('', `run ${proven.run}${backupOf(proven)}`),
          ...recallRows(proven),
        ]
      : [row('Last proven', 'never')]),
    row('Next drill', dueOf(status)),
    ...unproven.flatMap((restore) => [
      row('No proof', `${BY[restore.by]} ${ago(restore.at)}: ${restore.why}`),
      row('', `run ${restore.run}`),
      ...recallRows(restore),
    ]),
    ...(drills.length > 0 ? ['', drills.length === 1 ? 'The last drill' : `The last ${drills.length} drills`] : []),
    ...drills.map((drill) => `  ${drillLine(drill)}`),
    ...(unusable.length > 0 ? ['', 'Not counted'] : []),
    ...unusable.map(({ folder, problem }) => `  ${folder}: ${problem}`),
    ...(unread.length > 0 ? ['', 'Records that cannot be read, and may be of this cluster'] : []),
    ...unread.map((run) => `  ${run}`),
    ...nextOf(status, profile),
  ];
}

const BY = { drill: 'a drill', recovery: 'a recovery' } as const;
const LABEL_WIDTH = 16;
const row = (label: string, text: string) => `${label.padEnd(LABEL_WIDTH)}${text}`;

const rpoOf = (rpoMs: number | null) => (rpoMs === null ? '' : ` · RPO ${durationOf(rpoMs)}`);
const backupOf = ({ backup }: ProvenRestore) => (backup ? `, from backup ${backup.id}` : '');

const recallRows = ({ recallUnproven }: ProvenRestore) =>
  recallUnproven === null ? [] : [row('', `recall NOT PROVEN: ${recallUnproven}`)];

const VERDICTS: Record<ClusterStatus['state'], string> = {
  'never-proven': 'NEVER PROVEN, as far as is recorded here',
  'no-backup': 'NO BACKUP can be read: nothing could be restored now',
  'last-drill-failed': 'THE LAST DRILL FAILED',
  overdue: 'a drill is OVERDUE',
  proven: 'proven, and nothing is due',
};

function dueOf({ drillDueAt, overdue, drillEveryDays, at }: ClusterStatus): string {
  const rule = `(every ${plural(drillEveryDays, 'day')})`;
  if (!drillDueAt) return `due now ${rule}`;
  const distance = durationOf(Math.abs(drillDueAt.getTime() - at.getTime()));
  return overdue
    ? `was due ${distance} ago ${rule}`
    : `in ${distance}, ${instantOf(drillDueAt).slice(0, 10)} ${rule}`;
}

const OUTCOMES: Record<PastDrill['outcome'], string> = {
  recovered: 'recovered',
  'recovered-with-exceptions': 'with exceptions',
  failed: 'FAILED',
  aborted: 'aborted',
  simulated: 'simulated',
  unfinished: 'unfinished',
};

function drillLine({ startedAt, outcome, rtoMs, slowerMs }: PastDrill): string {
  const took = rtoMs === null ? '' : `${durationOf(rtoMs)}${trendOf(rtoMs, slowerMs)}`;
  return `${instantOf(startedAt).slice(0, 16)}  ${OUTCOMES[outcome].padEnd(15)}  ${took}`.trimEnd();
}

/** A difference of less than this share of the whole is none. */
const NOTABLE = 0.05;

function trendOf(rtoMs: number, slowerMs: number | null): string {
  if (slowerMs === null) return '';
  if (Math.abs(slowerMs) < NOTABLE * rtoMs) return ', as long as the one before';
  return `, ${durationOf(Math.abs(slowerMs))} ${slowerMs > 0 ? 'slower' : 'faster'} than the one before`;
}

function nextOf({ state, backup, failedDrill }: ClusterStatus, profile: string): string[] {
  if (state === 'proven') return [];
  const steps = [
    ...(backup ? [] : [`novamem-runbook backup --profile ${profile}`]),
    ...(failedDrill ? [`novamem-runbook report ${failedDrill}`] : []),
    ...(state === 'no-backup' ? [] : [`novamem-runbook drill --profile ${profile}`]),
  ];
  return ['', ...steps.map((step, index) => `${index === 0 ? 'Next:' : 'then:'} ${step}`)];
}
