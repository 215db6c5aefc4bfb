import { durationOf, plural, sizeOf } from '../words.js';
import type { CopyNow, StepSnapshot } from './snapshot.js';

type Row = [label: string, text: string];

/** What an undo of a step would take away, as it was last looked at: for good (`LOSES`), or to be kept elsewhere. */
export function lossRows({ undoPlan }: StepSnapshot): Row[] {
  const { replaces = [], keeps } = undoPlan ?? {};
  return replaces.map((text): Row => [keeps === undefined ? 'LOSES' : 'Replaces', text]);
}

/** What it would bring back, and from where; and where what it takes away stays. */
export function wayBackRows({ undoPlan }: StepSnapshot): Row[] {
  if (!undoPlan) return [];
  const { putsBack, replaces, keeps, copies } = undoPlan;
  return [
    ['Puts back', putsBack],
    ...copyTexts(copies).map((text): Row => ['From', text]),
    ...(keeps === undefined || replaces.length === 0 ? [] : ([['Kept', keeps]] as Row[])),
  ];
}

const NAMED = 2;

/** Where the copies are, how large and how old: each, or where there are many all of them together. */
function copyTexts(copies: readonly CopyNow[]): string[] {
  const gone = copies.filter((copy) => copy.gone).map((copy) => `NOT THERE ANY MORE: ${copy.at} (${copy.of})`);
  const there = copies.filter((copy) => !copy.gone);
  if (there.length <= NAMED)
    return [
      ...gone,
      ...there.map(({ of, at, verified, ...copy }) => `${at}: ${[...measuresOf([copy]), of, verified].join(', ')}`),
    ];
  return [
    ...gone,
    `${plural(there.length, 'safety copy', 'safety copies')}: ${measuresOf(there).join(', ')}; ${there[0]!.at}, …`,
  ];
}

/** The size, where it is known, and the age of the oldest. */
function measuresOf(copies: readonly Pick<CopyNow, 'bytes' | 'takenAt'>[]): string[] {
  const known = copies.flatMap(({ bytes }) => (bytes === undefined ? [] : [bytes]));
  const oldest = Math.min(...copies.map(({ takenAt }) => takenAt));
  return [
    ...(known.length === 0 ? [] : [sizeOf(known.reduce((sum, bytes) => sum + bytes, 0))]),
    `${durationOf(Date.now() - oldest)} old`,
  ];
}
