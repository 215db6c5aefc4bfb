import type { LossCounts } from '../../runbook/lesson.js';
import type { LeftOver } from '../../stores/loss.js';
import { countOf, plural } from '../../words.js';
import type { Marks, Score, TrainingRecord } from './record.js';

/** From so many marks on a lesson can be passed. */
export const PASSED = 70;

/** Nothing was lost that could be kept, and the cluster is whole. */
export const isRecovered = ({ loss, unavoidable, checks, givenUp }: TrainingRecord): boolean =>
  !givenUp &&
  loss !== undefined &&
  loss.unread === '' &&
  lossWords(avoidableIn(loss, unavoidable)) === '' &&
  checks.every(({ ok }) => ok);

/** Enough marks, and recovered: who loses data, or leaves it broken, has not passed. */
export const isPassed = (record: TrainingRecord): boolean =>
  (record.score?.total ?? 0) >= PASSED && isRecovered(record);

/** What a hint costs, by its strength: a nudge, a direction, the answer. */
export const HINT_COSTS = [3, 7, 15] as const;
const UNSAFE_COSTS = 10;

const DETECT = 5;
const DECIDE = 5;
const RECOVER = 10;
const PREDICT = 30;
const WHOLE = 20;
const KEPT = 30;
/** What costs a cluster that is whole and not as it was: searches meet what leads nowhere. */
const LEFT_OVER = 5;
/** Of the time that the lesson allows, how much there is to detect what it is, and to decide what to do. */
const TO_DETECT = 1 / 4;
const TO_DECIDE = 1 / 3;
/** Who takes so many times as long has no marks left for it. */
const SLOWEST = 3;

type Scored = Omit<TrainingRecord, 'score'>;

/** Marks for a lesson that is over. */
export function scoreOf(record: Scored): Score {
  const parts = [
    isDetected(record)
      ? timeMarks('Detected in time', DETECT, record.pagedAt, record.detectedAt, record.lesson.minutes * TO_DETECT)
      : { part: 'Detected in time', marks: 0, of: DETECT, because: 'it was taken for something else' },
    timeMarks('Decided in time', DECIDE, record.pagedAt, record.decidedAt, record.lesson.minutes * TO_DECIDE),
    record.givenUp
      ? { part: 'Recovered in time', marks: 0, of: RECOVER, because: 'given up' }
      : timeMarks('Recovered in time', RECOVER, record.pagedAt, record.recoveredAt, record.lesson.minutes),
    predictionMarks(record),
    wholeMarks(record),
    keptMarks(record),
    ...record.hints.map(({ text, costs }) => ({ part: 'Hint', marks: -costs, of: 0, because: text })),
    ...record.unsafe.map(({ what, because }) => ({
      part: 'Unsafe choice',
      marks: -UNSAFE_COSTS,
      of: 0,
      because: `${what}: ${because}`,
    })),
  ];
  const sum = parts.reduce((total, { marks }) => total + marks, 0);
  return { parts, total: Math.max(0, sum) };
}

const WHICH = 'scenario';

/** The prediction that says what it is was right: that with the id `scenario`, else the first. */
function isDetected({ predictions }: Scored): boolean {
  const which = predictions.find(({ id }) => id === WHICH) ?? predictions[0];
  return !which || which.given === null || which.given === which.answer;
}

function timeMarks(part: string, of: number, from: number, to: number | null, minutes: number): Marks {
  if (to === null) return { part, marks: 0, of, because: 'it did not come to that' };
  const took = (to - from) / 60_000;
  const share = Math.min(1, Math.max(0, (SLOWEST - took / minutes) / (SLOWEST - 1)));
  const said = (value: number) => `${value.toFixed(1)} min`;
  return { part, marks: Math.round(of * share), of, because: `after ${said(took)}; ${said(minutes)} are allowed` };
}

function predictionMarks({ predictions }: Scored): Marks {
  const right = predictions.filter(({ given, answer }) => given === answer).length;
  const marks = Math.round((PREDICT * right) / Math.max(1, predictions.length));
  return { part: 'Predicted', marks, of: PREDICT, because: `${right} of ${predictions.length} right` };
}

function wholeMarks({ checks, givenUp, loss }: Scored): Marks {
  const part = 'Cluster whole again';
  if (givenUp) return { part, marks: 0, of: WHOLE, because: 'given up' };
  const failed = checks.filter(({ ok }) => !ok);
  const leftOver = loss ? leftOverWords(loss.leftOver) : '';
  if (failed.length > 0 || checks.length === 0) {
    const share = checks.length === 0 ? 0 : (checks.length - failed.length) / checks.length;
    const because = failed.map(({ subject, what, actual }) => `${subject}, ${what}: ${actual}`).join('; ');
    return { part, marks: Math.floor((WHOLE / 2) * share), of: WHOLE, because };
  }
  if (leftOver !== '')
    return { part, marks: WHOLE - LEFT_OVER, of: WHOLE, because: `nothing is missing, but left over: ${leftOver}` };
  return { part, marks: WHOLE, of: WHOLE, because: `${checks.length} checks, all as they should be` };
}

/** Something that could have been kept is gone: at most half the marks, and the fewer the more memories it is. */
function keptMarks({ loss, unavoidable, memories }: Scored): Marks {
  const part = 'Nothing lost that could be kept';
  const avoidable = loss ? avoidableIn(loss, unavoidable) : undefined;
  if (!loss || !avoidable) return { part, marks: 0, of: KEPT, because: 'it was not measured' };
  if (loss.unread !== '') return { part, marks: 0, of: KEPT, because: `it cannot be read: ${loss.unread}` };
  const words = lossWords(avoidable);
  if (words === '') return { part, marks: KEPT, of: KEPT, because: keptWords(loss) };
  const share = Math.min(1, (avoidable.memories + avoidable.changed + avoidable.strange) / Math.max(1, memories));
  return { part, marks: Math.round((KEPT / 2) * (1 - share)), of: KEPT, because: `lost without need: ${words}` };
}

const keptWords = (loss: LossCounts): string => {
  const words = lossWords(loss);
  return words === '' ? 'nothing is lost' : `lost is what the better path loses as well: ${words}`;
};

/** What is lost that the better path loses as well. */
export const needfulIn = (loss: LossCounts, unavoidable: LossCounts): LossCounts =>
  eachOf((key) => Math.min(loss[key], unavoidable[key]));

/** What is lost beyond that. */
export const avoidableIn = (loss: LossCounts, unavoidable: LossCounts): LossCounts =>
  eachOf((key) => Math.max(0, loss[key] - unavoidable[key]));

const eachOf = (count: (key: keyof LossCounts) => number): LossCounts => ({
  memories: count('memories'),
  changed: count('changed'),
  strange: count('strange'),
  vectors: count('vectors'),
  nodes: count('nodes'),
  relationships: count('relationships'),
  altered: count('altered'),
  rows: count('rows'),
});

const WORDS: Record<keyof LossCounts, (count: number) => string> = {
  memories: (count) => plural(count, 'memory', 'memories'),
  changed: (count) => `${count} that ${count === 1 ? 'says' : 'say'} something else now`,
  strange: (count) => `${count} of another cluster came in`,
  vectors: (count) => `${count} without a vector`,
  nodes: (count) => `${count} without a node in the graph`,
  relationships: (count) => `${plural(count, 'relationship')} of the graph`,
  altered: (count) =>
    `${plural(count, 'vector, node or relationship', 'vectors, nodes or relationships')} not as before`,
  rows: (count) => `${plural(count, 'row')} of other tables`,
};

/** `3 memories, 12 without a vector`; empty where nothing is lost. */
export function lossWords(loss: LossCounts): string {
  return (Object.keys(WORDS) as (keyof LossCounts)[])
    .filter((key) => loss[key] > 0)
    .map((key) => WORDS[key](loss[key]))
    .join(', ');
}

/** `3 vectors and 3 nodes of memories that are not there`; empty where nothing is left over. */
export function leftOverWords({ vectors, nodes, doubles }: LeftOver): string {
  const strays = [
    ...(vectors > 0 ? [plural(vectors, 'vector')] : []),
    ...(nodes > 0 ? [plural(nodes, 'node')] : []),
  ].join(' and ');
  return [
    ...(strays === '' ? [] : [`${strays} of memories that are not there`]),
    ...(doubles > 0 ? [`${countOf(doubles)} of vectors, nodes and relationships, each there twice`] : []),
  ].join(', ');
}
