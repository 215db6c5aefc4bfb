import type { LossCounts } from '../../runbook/lesson.js';
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
/** Of the time that the lesson allows, how much there is to detect what it is, and to decide what to do. */
const TO_DETECT = 1 / 4;
const TO_DECIDE = 1 / 3;
/** Who takes so many times as long has no marks left for it. */
const SLOWEST = 3;

type Scored = Omit<TrainingRecord, 'score'>;

/** Marks for a lesson that is over. */
export function scoreOf(record: Scored): Score {
  const parts = [
    timeMarks('Detected in time', DETECT, record.pagedAt, record.detectedAt, record.lesson.minutes * TO_DETECT),
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

function wholeMarks({ checks, givenUp }: Scored): Marks {
  if (givenUp) return { part: 'Cluster whole again', marks: 0, of: WHOLE, because: 'given up' };
  const failed = checks.filter(({ ok }) => !ok);
  const share = checks.length === 0 ? 0 : (checks.length - failed.length) / checks.length;
  const marks = share === 1 ? WHOLE : Math.floor((WHOLE / 2) * share);
  const because =
    failed.length === 0
      ? `${checks.length} checks, all as they should be`
      : failed.map(({ subject, what, actual }) => `${subject}, ${what}: ${actual}`).join('; ');
  return { part: 'Cluster whole again', marks, of: WHOLE, because };
}

/** Something that could have been kept is gone: at most half the marks, and the fewer the more memories it is. */
function keptMarks({ loss, unavoidable, memories }: Scored): Marks {
  const part = 'Nothing lost that could be kept';
  const avoidable = loss ? avoidableIn(loss, unavoidable) : undefined;
  if (!loss || !avoidable) return { part, marks: 0, of: KEPT, because: 'it was not measured' };
  if (loss.unread !== '') return { part, marks: 0, of: KEPT, because: `it cannot be read: ${loss.unread}` };
  const words = lossWords(avoidable);
  if (words === '') return { part, marks: KEPT, of: KEPT, because: keptWords(unavoidable) };
  const share = Math.min(1, (avoidable.memories + avoidable.changed + avoidable.strange) / Math.max(1, memories));
  return { part, marks: Math.round((KEPT / 2) * (1 - share)), of: KEPT, because: `lost without need: ${words}` };
}

const keptWords = (unavoidable: LossCounts): string => {
  const words = lossWords(unavoidable);
  return words === '' ? 'nothing is lost' : `lost is what nobody could keep: ${words}`;
};

/** What is lost beyond what nobody could keep. */
export function avoidableIn(loss: LossCounts, unavoidable: LossCounts): LossCounts {
  const beyond = (key: keyof LossCounts) => Math.max(0, loss[key] - unavoidable[key]);
  return {
    memories: beyond('memories'),
    changed: beyond('changed'),
    strange: beyond('strange'),
    vectors: beyond('vectors'),
    nodes: beyond('nodes'),
    relationships: beyond('relationships'),
  };
}

const WORDS: Record<keyof LossCounts, (count: number) => string> = {
  memories: (count) => `${count} ${count === 1 ? 'memory' : 'memories'}`,
  changed: (count) => `${count} in an older wording`,
  strange: (count) => `${count} of another cluster came in`,
  vectors: (count) => `${count} without a vector`,
  nodes: (count) => `${count} without a node in the graph`,
  relationships: (count) => `${count} ${count === 1 ? 'relationship' : 'relationships'} of the graph`,
};

/** `3 memories, 12 without a vector`; empty where nothing is lost. */
export function lossWords(loss: LossCounts): string {
  return (Object.keys(WORDS) as (keyof LossCounts)[])
    .filter((key) => loss[key] > 0)
    .map((key) => WORDS[key](loss[key]))
    .join(', ');
}
