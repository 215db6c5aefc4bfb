import type { Check } from '../stores/check.js';
import { countOf } from '../words.js';

/** One row of the evidence table: all checks of one thing in one store, added up where they are counts. */
export interface EvidenceRow {
  store: string;
  what: string;
  expected: string;
  actual: string;
  checks: number;
  failed: number;
}

const COUNTED = /rows|points|nodes|relationships$|bytes/;
const isCount = (text: string) => /^\d+$/.test(text) && text.length < 16;

/** Adds many checks up into few rows, by store and by what was compared. Counts are summed; the rest is said as "n of n equal". */
export function evidenceRows(checks: readonly Check[]): EvidenceRow[] {
  const groups = new Map<string, { store: string; what: string; checks: Check[] }>();
  for (const check of newest(checks)) {
    const store = check.subject.split(' ')[0]!;
    const what = store === 'falkordb' || store === 'novamem' || store === 'service' ? check.what : generalOf(check);
    const key = `${store} ${what}`;
    const group = groups.get(key) ?? { store, what, checks: [] };
    group.checks.push(check);
    groups.set(key, group);
  }
  return [...groups.values()].map(({ store, what, checks: of }) => {
    const failed = of.filter((check) => !check.ok).length;
    const sum = COUNTED.test(what) && of.every((check) => isCount(check.expected) && isCount(check.actual));
    const total = (side: 'expected' | 'actual') => countOf(of.reduce((all, check) => all + Number(check[side]), 0));
    const [only] = of;
    return {
      store,
      what,
      expected: sum ? total('expected') : of.length === 1 ? only!.expected : `${of.length}`,
      actual: sum ? total('actual') : of.length === 1 ? only!.actual : `${of.length - failed} equal`,
      checks: of.length,
      failed,
    };
  });
}

/** A restore step and the comparison after it may look at the same thing: what was seen last counts. */
function newest(checks: readonly Check[]): Check[] {
  const last = new Map(checks.map((check) => [`${check.subject}\n${check.what}`, check]));
  return [...last.values()];
}

/** `postgres table public.x` and `postgres table public.y` are both of `tables`. */
function generalOf(check: Check): string {
  const kind = check.subject.split(/[ ,]+/)[1];
  return kind === undefined ? check.what : `${check.what} (${kind === 'alias' ? 'aliases' : `${kind}s`})`;
}

/** The rows as a table of plain text, columns aligned, no line over the width. */
export function evidenceTable(rows: readonly EvidenceRow[], width = 100): string[] {
  const cut = (text: string, length: number) => (text.length <= length ? text : `${text.slice(0, length - 1)}…`);
  const value = width < 100 ? 13 : 19;
  const name = width - 24 - 2 * value;
  const line = (store: string, what: string, expected: string, actual: string, result: string) =>
    `${cut(store, 9).padEnd(9)} ${cut(what, name).padEnd(name)} ${cut(expected, value).padStart(value)} ${cut(actual, value).padStart(value)}  ${result}`.trimEnd();
  return [
    line('store', 'compared', 'expected', 'found', ''),
    ...rows.map((row) =>
      line(row.store, row.what, row.expected, row.actual, row.failed === 0 ? 'equal' : `${row.failed} DIFFER`),
    ),
  ];
}
