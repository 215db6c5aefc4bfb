import type { Expected } from '../engine/estimates.js';
import type { JournalEvent } from '../engine/journal.js';
import { standingLine } from '../engine/standing.js';
import { countOf, durationOf, logTimeOf, plural, sizeOf } from '../words.js';
import { aboutText, expectedText } from './estimate-words.js';
import { evidenceRows, evidenceTable } from './evidence.js';
import { modeWords, outcomeWords, workText } from './markdown.js';
import { halfDone, isLeftOpen, leftBy, nextAfter, type RunReport } from './run-report.js';

/** A quantity with its unit: `1.2 GiB`, `5,000 rows`, `12`. */
export function quantityOf(value: number, unit: string): string {
  if (unit === 'bytes') return sizeOf(value);
  if (unit === 'seconds') return durationOf(value * 1000);
  return unit === 'rows' ? `${countOf(value)} rows` : countOf(value);
}

interface Amount {
  done: number;
  total?: number;
  unit: string;
}

/** How much of something is done, from 0 to 1; undefined where nobody knows how much there is. Waiting brings nothing nearer. */
export const shareOf = ({ done, total, unit }: Amount): number | undefined =>
  total && unit !== 'seconds' ? done / total : undefined;

/** `1.2 GiB of 2.0 GiB`; of something that is waited for, `waited 31 s, at most 3 min 00 s`. */
export function amountOf({ done, total, unit }: Amount): string {
  const of = unit === 'seconds' ? ', at most' : ' of';
  return `${unit === 'seconds' ? 'waited ' : ''}${quantityOf(done, unit)}${total === undefined ? '' : `${of} ${quantityOf(total, unit)}`}`;
}

const runLine = (at: Date, who: string, text: string) => `${logTimeOf(at)} ${who.padEnd(18)} ${text}`;

/** What is expected of a run that is about to begin, as one of its plain lines; none where nothing is known. */
export function expectedLines(expected: Expected): string[] {
  const text = expectedText(expected);
  return text === '' ? [] : [runLine(new Date(), 'run', `expected to be at work for ${text}`)];
}

/** One event as the plain lines of a run that has no terminal; none where it has nothing to say to a person. */
export function plainLines(event: JournalEvent): string[] {
  const line = (who: string, text: string) => [runLine(new Date(event.ts), who, text)];
  switch (event.type) {
    case 'run.started':
      return [
        ...line(
          'run',
          `${event.title} on ${event.profile}${event.production ? ' (PRODUCTION)' : ''}, ${modeWords(event.mode)}${event.drillOf ? `, of the backup of ${event.drillOf}` : ''}, run ${event.run}`,
        ),
        ...(event.backup ? line('run', `from backup set ${event.backup.id} (${event.backup.folder})`) : []),
      ];
    case 'run.resumed':
      return line('run', `resumed by ${event.operator}`);
    case 'run.locked':
      return [
        ...event.tookOver.flatMap((whose) => line('run', `put a lock aside: ${whose}`)),
        ...event.without.flatMap((why) => line('run', `warning: not locked for other machines in ${why}`)),
      ];
    case 'guard.raised':
      return line('run', `warning: ${event.said}`);
    case 'guard.accepted':
      return line('run', `${event.who} accepts another ${event.difference}`);
    case 'run.leftover':
      return line('run', `left by an earlier process, and ended: ${event.text}`);
    case 'step.finding':
      return event.finding.level === 'info'
        ? []
        : line(
            event.step,
            `${event.finding.level}: ${event.finding.message}${event.finding.next ? `; next: ${event.finding.next}` : ''}`,
          );
    case 'confirm.given':
      return line(event.step, `${event.undo ? 'its undo ' : ''}confirmed by ${event.who}`);
    case 'step.started':
      return line(event.step, event.attempt === 1 ? 'started' : `started, attempt ${event.attempt}`);
    case 'step.undoing':
      return line(event.step, 'undo: putting back what was there before');
    case 'step.progress': {
      const share = shareOf(event);
      const percent = share === undefined ? '' : ` (${Math.floor(share * 100)} %)`;
      return line(event.step, `${amountOf(event)}${percent}: ${event.text}`);
    }
    case 'step.safety-copy':
      return line(event.step, `safety copy of ${event.of}: ${event.at} (${event.verified})`);
    case 'step.check':
      return event.check.ok
        ? []
        : line(
            event.step,
            `NOT EQUAL ${event.check.subject}, ${event.check.what}: expected ${event.check.expected}, found ${event.check.actual}`,
          );
    case 'step.finished':
      return line(
        event.step,
        `${event.outcome}${event.tookMs > 0 ? ` after ${durationOf(event.tookMs)}` : ''}${event.reason ? `: ${event.reason}` : ''}`,
      );
    case 'note':
      return line('note', event.text);
    case 'run.finished':
      return line('run', `${event.outcome} after ${durationOf(event.rtoMs)}`);
    default:
      return [];
  }
}

/** The end of a run: the timeline, the evidence and where the record is. */
export function plainSummary(
  report: RunReport,
  paths: { journal: string; markdown: string; html: string },
  fault: string,
  width: number,
): string[] {
  const { started, finished } = report;
  const begin = Date.parse(started.ts);
  const checks = report.steps.flatMap((step) => step.checks);
  const failed = checks.filter((check) => !check.ok).length;
  const timeline = report.steps.map((step) => {
    const from = step.startedAt ? `+${((Date.parse(step.startedAt) - begin) / 1000).toFixed(1)} s` : '';
    const about = aboutText(step.plan);
    const took = step.startedAt ? durationOf(step.tookMs) : '';
    return `  ${from.padStart(9)}  ${step.id.padEnd(20)} ${step.outcome.padEnd(10)} ${took.padEnd(12)} ${took && about && `expected ${about}`}`.trimEnd();
  });
  const notBegun = finished?.outcome === 'aborted' && !report.begun.last;
  const concluded = report.steps.filter((step) => step.outcome === 'succeeded' && step.reason !== '');
  const rpo = finished?.rpoMs == null ? '' : ` · RPO ${durationOf(finished.rpoMs)}`;
  const times = finished && !notBegun ? ` in ${durationOf(finished.rtoMs)}${started.backup ? rpo : ''}` : '';
  return [
    '',
    `${started.title}: ${outcomeWords(report)}${times}`,
    ...(finished && !notBegun && report.expected.ms > 0 ? [`At work ${workText(report)}`] : []),
    ...(report.begun.ever ? ['', 'Timeline', ...timeline] : []),
    ...(concluded.length > 0
      ? ['', 'What came of it', ...concluded.map((step) => `  ${step.id}: ${step.reason}`)]
      : []),
    ...halfDone(report).flatMap((step) => [
      '',
      `${step.id} ${step.outcome}: ${step.summary}`,
      `  ${step.reason}`,
      ...leftBy(step).map(([label, text]) => `  ${label.padEnd(9)} ${text}`),
    ]),
    ...(isLeftOpen(report)
      ? [...(halfDone(report).length > 0 ? [] : ['']), `  ${'Next'.padEnd(9)} ${nextAfter(report)}`]
      : []),
    ...(checks.length > 0
      ? [
          '',
          `Evidence: ${plural(checks.length, 'comparison')}, ${failed === 0 ? 'all equal' : `${countOf(failed)} DIFFER`}`,
          ...evidenceTable(evidenceRows(checks), width - 2).map((line) => `  ${line}`),
        ]
      : []),
    ...(finished && finished.standing.length > 0 && started.mode !== 'drill'
      ? ['', 'Now', ...finished.standing.map((one) => `  ${standingLine(one)}`)]
      : []),
    '',
    `Report   ${paths.html}`,
    `         ${paths.markdown}`,
    `Journal  ${paths.journal} (${fault === '' ? 'intact' : `NOT INTACT: ${fault}`})`,
  ];
}
