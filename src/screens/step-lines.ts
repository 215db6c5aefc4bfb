import type { CountedProgress } from '../engine/counted.js';
import type { StepSnapshot, StepState } from '../engine/snapshot.js';
import { aboutText, takesText } from '../reports/estimate-words.js';
import { evidenceRows } from '../reports/evidence.js';
import { amountOf, quantityOf, shareOf } from '../reports/plain.js';
import { durationOf, plural } from '../words.js';
import { FINDING_MARKS, MARKS } from './marks.js';
import { bar, labelled, wrap } from './text.js';

/**
 * What a step would do and what was found, as lines: for the plan and beside the question. `whole`: in a dry run, where nothing
 * else is shown, the way back is told of every step that changes anything.
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
      label(index === 0 ? commandsLabel(step, whole) : '', command),
    ),
  ];
}

/** What a resumed run has done already is not done once more. */
const commandsLabel = ({ state }: StepSnapshot, whole: boolean): string =>
  whole ? 'Would run' : state === 'succeeded' ? 'Has run' : state === 'skipped' ? 'Left out' : 'Will run';

/** What a lesson asks and hints at there, with the answer: told in a dry run. */
export function teachLines({ teach }: StepSnapshot, width: number): string[] {
  const label = (name: string, text: string) => labelled(name, text, width);
  const { predict } = teach ?? {};
  return [
    ...(predict ? label('Predict', predict.ask) : []),
    ...(predict?.options ?? []).flatMap((option) => label('', `- ${option}`)),
    ...(predict ? label('Answer', `${predict.answer}: ${predict.because}`) : []),
    ...hintLines(teach, width),
  ];
}

/** What a step has to teach; in a lesson it is told once the step is over, when nothing is given away by it. */
export const hintLines = (teach: StepSnapshot['teach'], width: number): string[] =>
  (teach?.hints ?? []).flatMap((hint) => labelled('Hint', hint, width));

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

/** How much of a step is done, from 0 to 1; undefined where nobody knows. */
export const shareDone = ({ progress }: StepSnapshot): number | undefined => progress && shareOf(progress);

/** `restore-qdrant 36 %`; of a step that does not know how much there is, what it does: `restore-qdrant runs`. */
export function shortWords(step: StepSnapshot): string {
  const share = step.state === 'running' ? shareDone(step) : undefined;
  return `${step.id} ${share === undefined ? MARKS[step.state].word : `${Math.floor(share * 100)} %`}`;
}

/** Where a step stands, in one sentence: `restore-postgres: runs, 61 percent, about 1 min 04 s left`. */
export function standingWords(step: StepSnapshot, now: number): string {
  const { id, state, progress, reason, checks } = step;
  const took = step.startedAt === undefined ? 0 : (step.finishedAt ?? now) - step.startedAt;
  const parts = [`${id}: ${MARKS[state].word}`];
  if (progress && (state === 'running' || state === 'undoing')) {
    const left = leftOf(progress, now);
    const share = shareDone(step);
    if (share !== undefined) parts.push(`${Math.floor(share * 100)} percent`);
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

/** Units a millisecond, since they began to be counted; undefined where that tells nothing yet, or is no pace: waiting. */
function paceOf({ done, unit, since }: CountedProgress, now: number): number | undefined {
  const [counted, took] = [done - since.done, now - since.at];
  return unit === 'seconds' || took <= 1_000 || counted <= 0 ? undefined : counted / took;
}

/** How long what is counted is likely to take still, in milliseconds, going by its pace so far. */
function leftOf(progress: CountedProgress, now: number): number | undefined {
  const { done, total = 0, since } = progress;
  const pace = paceOf(progress, now);
  return pace !== undefined && done - since.done > 0.02 * total && done < total ? (total - done) / pace : undefined;
}

/** `118 MiB/s`, `1,204 rows/s`, `0.23/s`; empty where there is none to tell. */
function rateOf(progress: CountedProgress, now: number): string {
  const { unit } = progress;
  const pace = (paceOf(progress, now) ?? 0) * 1000;
  if (pace === 0) return '';
  return `${quantityOf(pace < 10 ? Number(pace.toPrecision(2)) : Math.round(pace), unit)}/s`;
}

/** `████████░░░░  61 %  118 MiB/s`, and `1.2 GiB of 2.0 GiB`; where nobody knows how much there is no bar, and `1.2 GiB  118 MiB/s`. */
function gauge(progress: CountedProgress, width: number, now: number): { bar: string | undefined; quantity: string } {
  const share = shareOf(progress);
  const amount = amountOf(progress);
  const rate = rateOf(progress, now);
  const shown = rate === '' ? '' : `  ${rate}`;
  if (share === undefined) return { bar: undefined, quantity: `${amount}${shown}` };
  const barWidth = Math.max(8, Math.min(24, width - 6 - Math.max(12, shown.length)));
  return {
    bar: `${bar(share, barWidth)} ${String(Math.floor(share * 100)).padStart(3)} %${shown}`,
    quantity: amount,
  };
}

/** One of several steps at work side by side, what matters most first: there may be room for a few lines only. */
export function sideBySideLines(step: StepSnapshot, width: number, now: number): string[] {
  const { id, state, progress, plan, startedAt } = step;
  const took = startedAt === undefined ? 0 : now - startedAt;
  const head = [id, MARKS[state].word, ...(took > 0 ? [durationOf(took)] : [])].join(' · ');
  if (!progress || state !== 'running') return [head, ...wrap(plan?.summary ?? step.uses, width)];
  const shown = gauge(progress, width, now);
  const left = leftOf(progress, now);
  return [
    head,
    ...(shown.bar === undefined ? [] : [shown.bar]),
    `${shown.quantity}${left === undefined ? '' : ` · about ${durationOf(left)} left`}`,
    ...wrap(progress.text, width),
  ];
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
    const shown = gauge(progress, width, now);
    if (shown.bar !== undefined) lines.push(shown.bar);
    lines.push(...wrap(shown.quantity, width));
    const left = leftOf(progress, now);
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
