import type { TrainingRecord } from '../engine/training/record.js';
import {
  avoidableIn,
  isPassed,
  isRecovered,
  leftOverWords,
  lossWords,
  needfulIn,
  PASSED,
} from '../engine/training/score.js';
import { shellWord } from '../hosts/command.js';
import { isForShell, type Move } from '../runbook/lesson.js';
import { loadRunbook } from '../runbook/library.js';
import type { Loss } from '../stores/loss.js';
import { clockOf, countOf, durationOf, instantOf, plural } from '../words.js';

/** What is said of a lesson that was taken, in Markdown that reads as well on a terminal. Made from its record alone. */
export function debriefLines(record: TrainingRecord): string[] {
  const { lesson, trainee, disaster, predictions, betterPath, score } = record;
  const parts = score?.parts ?? [];
  const widest = Math.max(0, ...parts.map(({ part }) => part.length));
  return [
    `# Debrief: ${lesson.title}`,
    '',
    `${headline(record)} · ${trainee} · ${instantOf(new Date(record.pagedAt))}`,
    '',
    '## What had happened',
    '',
    `${disaster.title}.`,
    '',
    ...disaster.did.map((line) => `- ${line}`),
    '',
    '## Marks',
    '',
    ...parts.map(
      ({ part, marks, of, because }) => `- ${part.padEnd(widest)} ${marksText(marks, of).padStart(8)}  ${because}`,
    ),
    '',
    '## What was lost',
    '',
    ...lostLines(record),
    '',
    ...(record.unsafe.length === 0
      ? []
      : [
          '## Unsafe choices',
          '',
          ...record.unsafe.map(({ what, because, at }) => `- ${sinceText(record, at)} You ${what}: ${because}`),
          '',
        ]),
    '## Predictions',
    '',
    ...predictions.flatMap(({ ask, given, answer, because }) => [
      `- ${ask}`,
      `  ${given === answer ? `✔ ${given}` : `✗ ${given ?? 'nothing was said'}; it is: ${answer}`}`,
      `  ${because}`,
    ]),
    '',
    '## Timeline',
    '',
    ...timeline(record).map(({ at, said }) => `- ${sinceText(record, at)} ${said}`),
    '',
    isRecovered(record) && record.unsafe.length === 0 && leftOverWords(record.loss!.leftOver) === ''
      ? '## The way of somebody who has done it before (yours kept what can be kept, too)'
      : '## The better path',
    '',
    ...betterPath.flatMap((move, index) => [
      ...moveText(move)
        .split('\n')
        .map((line, at) => (at === 0 ? `${index + 1}. ${line}` : `   ${line}`)),
      ...(move.because ? [`   ${move.because}`] : []),
      ...('run' in move ? [`   as a command: ${commandOf(move)}`] : []),
    ]),
    '',
    '## Take with you',
    '',
    ...lesson.remember.map((line) => `- ${line}`),
    '',
  ];
}

/** `87 of 100: passed` */
export function headline(record: TrainingRecord): string {
  const { score, givenUp, played } = record;
  const by = played ? `played by the program, the ${played} way · ` : '';
  const total = score?.total ?? 0;
  const why = givenUp
    ? ' (given up)'
    : total >= PASSED
      ? ' (something was lost that could be kept, or is still broken)'
      : '';
  return `${by}${total} of 100: ${isPassed(record) ? 'passed' : `not passed${why}`}`;
}

const marksText = (marks: number, of: number): string => (of > 0 ? `${marks} of ${of}` : String(marks));

const sinceText = ({ pagedAt }: TrainingRecord, at: number): string => `+${clockOf(at - pagedAt)}`.padStart(6);

function lostLines({ loss, unavoidable, memories, wrongWayCost }: TrainingRecord): string[] {
  if (!loss) return ['It was not measured.'];
  if (loss.unread !== '') return [`The memories cannot be read, so nobody knows: ${loss.unread}`];
  const all = lossWords(loss);
  const avoidable = avoidableIn(loss, unavoidable);
  const needless = lossWords(avoidable);
  const needful = lossWords(needfulIn(loss, unavoidable));
  const leftOver = leftOverWords(loss.leftOver);
  return [
    ...(all === ''
      ? [
          `Nothing: all ${plural(memories, 'memory', 'memories')} are there as they were, with their vectors and their relationships, and so are the projects, members and tokens.`,
        ]
      : [
          `Missing afterwards, of ${plural(memories, 'memory', 'memories')}: ${all}.`,
          ...(loss.silent.length > 0 ? [`What could not be read counts as missing: ${loss.silent.join(', ')}.`] : []),
          ...bulleted(loss.examples.map((text) => `- "${text}"`)),
          ...bulleted(Object.entries(loss.tables).map(([table, lost]) => `- ${table}: ${rowWords(lost)}`)),
          '',
          needless === ''
            ? 'The better path loses that as well.'
            : `Without need: ${needless}.${needful === '' ? '' : ` The better path loses as well: ${needful}.`}`,
        ]),
    ...(wrongWayCost === undefined ? [] : ['', wrongWayCost]),
    ...(leftOver === ''
      ? []
      : [
          '',
          `Left over: ${leftOver}. Nothing is lost by that, but the cluster is not as it was: searches meet it.`,
          ...(loss.leftOver.vectors + loss.leftOver.nodes > 0 ? [straysLine(avoidable.memories > 0)] : []),
        ]),
  ];
}

const straysLine = (comeBack: boolean): string =>
  comeBack
    ? 'As long as memories can still be brought back it is right to keep them: deleted now, they would be missing then.'
    : `What has no memory "${loadRunbook('cross-check').title}" (cross-check) deletes, after a copy of each.`;

const bulleted = (lines: readonly string[]): string[] => (lines.length > 0 ? ['', ...lines] : []);

/** `atlas, borealis and 3 more`; a table without a key tells only how many. */
function rowWords({ rows, keys }: Loss['tables'][string]): string {
  if (keys.length === 0) return plural(rows, 'row');
  const more = rows - keys.length;
  return `${keys.join(', ')}${more > 0 ? ` and ${countOf(more)} more` : ''}`;
}

function timeline(record: TrainingRecord): { at: number; said: string }[] {
  const { pagedAt, predictions, hints, shells, runs, endedAt, givenUp } = record;
  return [
    { at: pagedAt, said: 'the pager goes' },
    ...predictions.flatMap(({ at, ask, given, answer }) =>
      at === null ? [] : [{ at, said: `"${ask}" ${given} (${given === answer ? 'right' : 'wrong'})` }],
    ),
    ...hints.map(({ at, text, costs }) => ({ at, said: `hint (-${costs}): ${text}` })),
    ...shells.map((at) => ({ at, said: 'a shell' })),
    ...runs.flatMap(({ id, scenario, openedAt, begunAt, endedAt: over, tookMs, outcome }) => [
      { at: openedAt, said: `${scenario}: its plan is opened (run ${id})` },
      { at: begunAt, said: `${scenario}: it begins` },
      ...(over === null ? [] : [{ at: over, said: `${scenario}: ${outcome} in ${durationOf(tookMs ?? 0)}` }]),
    ]),
    ...(endedAt === null ? [] : [{ at: endedAt, said: givenUp ? 'given up' : 'reported as recovered, and counted' }]),
  ].sort((a, b) => a.at - b.at);
}

type RunMove = Extract<Move, { run: string }>;

/** A move as it is done on the screens; a command of several lines on lines of its own. */
export function moveText(move: Move): string {
  if ('shell' in move) {
    const lines = move.shell.trim().split('\n');
    return lines.length === 1
      ? `in a shell: ${lines[0]}`
      : ['in a shell:', ...lines.map((line) => `    ${line}`)].join('\n');
  }
  const { run, backup, accept } = move;
  return [
    `${loadRunbook(run).title} (${run})`,
    { latest: '', previous: ', from the backup before the newest', none: ', without a backup' }[backup],
    ...settingsOf(move).map(({ step, name, value }) => {
      const said = isForShell(value) ? 'as the command below finds it' : value;
      return name === 'answer' ? `; at ${step}: ${said}` : `; ${step}.${name}: ${said}`;
    }),
    ...accept.map((one) => `; the guard of the ${one} let pass`),
  ].join('');
}

/** A run of a lesson as a command. */
function commandOf(move: RunMove): string {
  const { run, backup, accept } = move;
  return [
    `novamem-runbook run ${run} --profile "$CLUSTER"`,
    { latest: '', previous: ' --backup ID', none: ' --backup none' }[backup],
    ...settingsOf(move).map(({ step, name, value }) =>
      isForShell(value) ? ` --set "${step}.${name}=${value}"` : ` --set ${shellWord(`${step}.${name}=${value}`)}`,
    ),
    ...accept.map((one) => ` --accept ${one}`),
  ].join('');
}

const settingsOf = ({ set }: RunMove): { step: string; name: string; value: string }[] =>
  Object.entries(set).flatMap(([step, params]) =>
    Object.entries(params).map(([name, value]) => ({ step, name, value: String(value) })),
  );
