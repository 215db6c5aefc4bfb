import type { StepSnapshot, StepState } from '../engine/snapshot.js';
import { aboutText, takesText } from '../reports/estimate-words.js';
import { evidenceRows } from '../reports/evidence.js';
import { quantityOf } from '../reports/plain.js';
import { durationOf, plural, sizeOf } from '../words.js';
import { FINDING_MARKS, MARKS } from './marks.js';
import { bar, labelled, wrap } from './text.js';

/**
 * What a step would do and what was found, as lines: for the plan and beside the question. `whole`: in a dry run, where nothing
 * else is shown, the way back is told of every step that changes anything, and what a lesson asks and tells.
 */
export function planLines(step: StepSnapshot, width: number, whole = false): string[] {
  const { plan } = step;
  const label = (name: string, text: string) => labelled(name, text, width);
  return [
    ...label('Why', step.why),
    ...(step.only ? label('Only', `when ${step.only.step} is answered with ${step.only.choices.join(' or ')}`) : []),
    ...(plan?.asks?.type === 'choose'
      ? plan.asks.options.flatMap((one) => label('Choice', `${one.choice}: ${one.title}`))
      : []),
    ...(plan?.asks?.type === 'text' ? label('Asks', plan.asks.question) : []),
    ...(plan?.notAskedFor ? label('Left out', plan.notAskedFor) : []),
    ...(plan?.destroys ?? []).flatMap((what) => label('Destroys', what)),
    ...(plan?.uncounted ? label('Destroys', `not counted: ${plan.uncounted}`) : []),
    ...(plan && !plan.uncounted && plan.destroys.length === 0 && step.effect === 'destroy'
      ? label('Destroys', 'nothing: nothing is there')
      : whole && plan && !plan.uncounted && plan.destroys.length === 0
        ? label('Destroys', 'nothing')
        : []),
    ...(plan && (step.effect === 'destroy' || (whole && step.effect === 'write'))
      ? [...label('Way back', plan.wayBack), ...label('No return', plan.pointOfNoReturn)]
      : []),
    ...(plan ? label('On abort', plan.onAbort) : []),
    ...takesLines(step, width),
    ...findingLines(step, width),
    ...(plan?.commands ?? []).flatMap((command, index) =>
      label(index === 0 ? (whole ? 'Would run' : 'Will run') : '', command),
    ),
    ...(whole ? teachLines(step, label) : []),
  ];
}

function teachLines({ teach }: StepSnapshot, label: (name: string, text: string) => string[]): string[] {
  const { predict, hints = [] } = teach ?? {};
  return [
    ...(predict ? label('Predict', predict.ask) : []),
    ...(predict?.options ?? []).flatMap((option) => label('', `- ${option}`)),
    ...(predict ? label('Answer', `${predict.answer}: ${predict.because}`) : []),
    ...hints.flatMap((hint) => label('Hint', hint)),
  ];
}

/** How long it takes, and how that is known. */
export function takesLines({ plan }: StepSnapshot, width: number): string[] {
  const takes = takesText(plan);
  return takes === undefined ? [] : labelled('Takes', takes, width);
}

export function findingLines(step: StepSnapshot, width: number): string[] {
  return step.findings.flatMap((finding) => {
    const { symbol, word } = FINDING_MARKS[finding.level];
    return [
      ...wrap(`${symbol} ${word === '' ? '' : `${word}: `}${finding.message}`, width, 2),
      ...(finding.next ? wrap(`  next: ${finding.next}`, width, 8) : []),
    ];
  });
}

/** Where a step stands, in one sentence: `restore-postgres: runs, 61 percent, about 1 min 04 s left`. */
export function standingWords(step: StepSnapshot, now: number): string {
  const { id, state, progress, reason, checks } = step;
  const took = step.startedAt === undefined ? 0 : (step.finishedAt ?? now) - step.startedAt;
  const parts = [`${id}: ${MARKS[state].word}`];
  if (progress && (state === 'running' || state === 'undoing')) {
    const left = leftOf(step, took);
    if (progress.total) parts.push(`${Math.floor((progress.done / progress.total) * 100)} percent`);
    if (left !== undefined) parts.push(`about ${durationOf(left)} left`);
    if (progress.text !== '') parts.push(progress.text);
  }
  if (step.finishedAt !== undefined && took > 0 && state !== 'waiting') parts.push(durationOf(took));
  if (state === 'succeeded' && checks.length > 0) {
    const failed = checks.filter((check) => !check.ok).length;
    parts.push(`${plural(checks.length, 'comparison')}, ${failed === 0 ? 'all equal' : `${failed} DIFFER`}`);
  }
  // Until it has ended again, the reason is that of its last attempt.
  if (reason && !UNDER_WAY.includes(state)) parts.push(reason);
  return parts.join(', ');
}

/** Before the reason of a state that is no failure. */
const REASON_MARKS: Partial<Record<StepState, string>> = { succeeded: '·', skipped: '-' };

const UNDER_WAY: StepState[] = ['waiting', 'checking', 'asking', 'running', 'verifying', 'undoing'];

/** How long a step is likely to take still, in milliseconds, going by its pace so far. */
function leftOf({ progress }: StepSnapshot, took: number): number | undefined {
  const share = progress?.total ? progress.done / progress.total : 0;
  return took > 1_000 && share > 0.02 && share < 1 && progress?.unit !== 'seconds'
    ? (took / share) * (1 - share)
    : undefined;
}

/** Of how long, while it runs. */
function ofAbout({ state, plan }: StepSnapshot): string {
  const about = aboutText(plan);
  return about !== '' && (state === 'running' || state === 'verifying') ? ` of ${about}` : '';
}

/** How far a running step is, what it proved, or why it failed. */
export function progressLines(step: StepSnapshot, width: number, now: number): string[] {
  const took = step.startedAt === undefined ? 0 : (step.finishedAt ?? now) - step.startedAt;
  const lines = [
    ...wrap(step.plan?.summary ?? step.uses, width),
    ...wrap(
      `${MARKS[step.state].word}${took > 0 && step.state !== 'waiting' ? ` · ${durationOf(took)}${ofAbout(step)}` : ''}`,
      width,
      2,
    ),
  ];
  const { progress } = step;
  if (progress && (step.state === 'running' || step.state === 'undoing')) {
    const share = progress.total ? progress.done / progress.total : undefined;
    const rate = took > 1_000 ? progress.done / (took / 1000) : 0;
    const barWidth = Math.max(8, Math.min(24, width - 18));
    if (share !== undefined)
      lines.push(
        `${bar(share, barWidth)} ${String(Math.floor(share * 100)).padStart(3)} %${progress.unit === 'bytes' && rate > 0 ? `  ${sizeOf(rate)}/s` : ''}`,
      );
    lines.push(
      ...wrap(
        `${quantityOf(progress.done, progress.unit)}${progress.total === undefined ? '' : ` of ${quantityOf(progress.total, progress.unit)}`}`,
        width,
      ),
    );
    const left = leftOf(step, took);
    if (left !== undefined) lines.push(`left  about ${durationOf(left)}`);
    lines.push(...wrap(progress.text, width));
  }
  if (step.reason) lines.push(...wrap(`${REASON_MARKS[step.state] ?? '✗'} ${step.reason}`, width, 2));
  for (const copy of step.safetyCopies) lines.push(...wrap(`safety copy of ${copy.of}: ${copy.at}`, width, 2));
  for (const row of evidenceRows(step.checks))
    lines.push(
      ...wrap(
        `${row.failed === 0 ? '✔' : '✗'} ${row.store} ${row.what}: ${row.actual}${row.failed === 0 ? '' : `, expected ${row.expected}`}`,
        width,
        2,
      ),
    );
  if (step.state === 'waiting')
    lines.push(
      ...(step.needs.length > 0 ? wrap(`needs ${step.needs.join(', ')}`, width, 2) : []),
      ...wrap(step.why, width),
    );
  return lines;
}
