import { standingLine } from '../engine/standing.js';
import type { Check } from '../stores/check.js';
import { fingerprintText } from '../stores/fingerprint.js';
import { durationOf, linesWithoutControls } from '../words.js';
import { aboutText, expectedText } from './estimate-words.js';
import { evidenceRows } from './evidence.js';
import {
  isHalfDone,
  isHalfUndone,
  isLeftOpen,
  leftBy,
  nextAfter,
  type RunReport,
  type StepReport,
} from './run-report.js';

/** What an outcome is called. */
const OUTCOME_WORDS: Record<string, string> = {
  recovered: 'recovered',
  failed: 'FAILED',
  'recovered-with-exceptions': 'recovered with exceptions',
  aborted: 'aborted by the operator',
  simulated: 'simulated: nothing was touched',
  unfinished: 'UNFINISHED: the run ended without a word',
};

/** How a run ended, in words. Taking a backup recovers nothing: it is complete. */
export function outcomeWords({
  started,
  finished,
  steps,
  begun,
}: Pick<RunReport, 'started' | 'finished' | 'steps' | 'begun'>): string {
  const outcome = finished?.outcome ?? 'unfinished';
  const halfUndone = steps.filter(isHalfUndone).map((step) => step.id);
  if (halfUndone.length > 0) return `FAILED: THE UNDO OF ${halfUndone.join(', ')} DID NOT COME TO ITS END`;
  if (outcome === 'aborted' && !begun.last)
    return begun.ever ? 'left as it was: nothing further was begun or changed' : 'not begun: nothing was changed';
  if (outcome === 'aborted' && steps.some((step) => step.outcome === 'undone')) {
    const changed = ({ changes, safetyCopies }: StepReport) => changes.length + safetyCopies.length > 0;
    const stays = steps.filter((step) => step.outcome === 'succeeded' && changed(step)).map((step) => step.id);
    return stays.length === 0
      ? 'undone: what it had replaced was put back'
      : `undone in part (not: ${stays.join(', ')})`;
  }
  return outcome === 'recovered' && started.backup === null ? 'complete' : OUTCOME_WORDS[outcome]!;
}

/** How long a run took, and how old the data is that it brought; neither is true of one that never began. */
export function timesOf({ finished, begun }: Pick<RunReport, 'finished' | 'begun'>): { rto: string; rpo: string } {
  if (finished?.outcome === 'aborted' && !begun.ever) return { rto: 'none: not begun', rpo: 'none: not begun' };
  return {
    rto: finished ? durationOf(finished.rtoMs) : 'unknown',
    rpo: finished?.rpoMs == null ? 'unknown' : durationOf(finished.rpoMs),
  };
}

const MODE_WORDS: Record<string, string> = {
  live: 'live: it really happened',
  'dry-run': 'DRY RUN: nothing was touched',
  drill: 'DRILL on a throw-away cluster',
  train: 'TRAINING on a throw-away cluster',
};

export const modeWords = (mode: string): string => MODE_WORDS[mode] ?? mode;

/** The report of a run for people: Markdown. `fault` is what reading the journal found wrong, empty when it is intact. */
export function markdownReport(report: RunReport, fault: string): string {
  const { started, finished } = report;
  const times = timesOf(report);
  const checks = report.steps.flatMap((step) => step.checks);
  const lines = [
    `# ${started.title}: ${outcomeWords(report)}`,
    '',
    `| | |\n|---|---|`,
    ...(started.drillOf ? [row('Drill of', started.drillOf)] : []),
    row('Cluster', started.profile + (started.production ? ' (production)' : '')),
    row('Mode', modeWords(started.mode)),
    row('Run', report.id),
    row('Operator', started.operator),
    row('Started', started.ts),
    row('Ended', finished?.ts ?? 'it did not'),
    row('RTO', times.rto),
    ...(finished && report.expected.ms > 0 ? [row('At work', workText(report))] : []),
    row('RPO', times.rpo),
    row(
      'Backup set',
      started.backup
        ? `${started.backup.id} (${started.backup.kind === 'loose' ? 'loose files, no manifest' : 'with manifest'}), ${started.backup.folder}`
        : started.newBackup
          ? `new: ${started.newBackup}`
          : 'none',
    ),
    row('Stores', fingerprintText(started.fingerprint)),
    row(
      'Program',
      Object.entries(started.versions)
        .map(([name, version]) => `${name} ${version}`)
        .join(', '),
    ),
    row('Journal', fault === '' ? 'intact: every line follows the line before it' : `NOT INTACT: ${fault}`),
    '',
    '## Steps',
    '',
    '| step | outcome | took | expected | |\n|---|---|---|---|---|',
    ...report.steps.map(
      (step) =>
        `| ${cell(step.id)} | ${step.outcome} | ${durationOf(step.tookMs)} | ${aboutText(step.plan)} | ${cell(step.reason || step.summary)} |`,
    ),
    '',
    ...(finished && finished.standing.length > 0 && started.mode !== 'drill'
      ? ['## How things stand', '', ...finished.standing.map((one) => `- ${standingLine(one)}`), '']
      : []),
    ...(isLeftOpen(report) ? ['## What next', '', nextAfter(report), ''] : []),
    '## Evidence',
    '',
    ...(checks.length === 0 ? ['There is none.'] : evidence(checks)),
    '',
    ...report.steps.flatMap(stepSection),
    ...(report.notes.length > 0
      ? ['## Notes', '', ...report.notes.map((note) => `- ${note.at} ${note.who}: ${note.text}`), '']
      : []),
  ];
  return linesWithoutControls(lines.join('\n'));
}

/** How long it was at work, against what was expected: `19 s; expected: about 21 s, by earlier runs`. */
export const workText = ({ started, workMs, expected }: RunReport) =>
  `${started.mode === 'dry-run' ? '' : `${durationOf(workMs)}; `}expected: ${expectedText(expected)}`;

function evidence(checks: Check[]): string[] {
  return [
    '| store | compared | expected | found | |\n|---|---|---|---|---|',
    ...evidenceRows(checks).map(
      (one) =>
        `| ${one.store} | ${cell(one.what)} | ${cell(one.expected)} | ${cell(one.actual)} | ${one.failed === 0 ? 'equal' : `**${one.failed} differ**`} |`,
    ),
    ...checks
      .filter((check) => !check.ok)
      .map((check) => `\n**${check.subject}**, ${check.what}: expected ${check.expected}, found ${check.actual}`),
  ];
}

function stepSection(step: StepReport): string[] {
  return [
    `## ${step.id}`,
    '',
    `${step.summary}. **${step.outcome}**${step.reason ? `: ${step.reason}` : ''}`,
    '',
    ...(step.confirmedBy ? [`Confirmed by ${step.confirmedBy}.`, ''] : []),
    ...(step.startedAt && step.plan && step.plan.destroys.length > 0
      ? [`Counted before it began, to be replaced: ${step.plan.destroys.join('; ')}.`, '']
      : []),
    ...step.findings.map((finding) => `- ${finding.level}: ${finding.message}`),
    ...(isHalfDone(step)
      ? leftBy(step)
          .filter(([label]) => label !== 'Kept')
          .map(([label, text]) => `- ${label.toLowerCase()}: ${text}`)
      : []),
    ...step.safetyCopies.map((copy) => `- safety copy of ${copy.of}: ${copy.at} (${copy.verified})`),
    ...(step.changes.length > 0
      ? ['', '```', ...step.changes.map((change) => `${change.at} ${change.channel}: ${change.text}`), '```']
      : []),
    '',
  ];
}

const cell = (text: string) => text.replaceAll('|', '\\|').replaceAll('\n', ' ');
const row = (name: string, value: string) => `| ${name} | ${cell(value)} |`;
