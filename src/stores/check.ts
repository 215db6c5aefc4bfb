/** One thing that was compared: expected against actual. A step's checks are its evidence. */
export interface Check {
  /** What was looked at: `postgres table public.memory_entries`, `qdrant collection novamem_u1_default`. */
  subject: string;
  /** What about it: `rows`, `row checksum`, `points`. */
  what: string;
  expected: string;
  actual: string;
  ok: boolean;
}

/** A check that holds when both sides read the same. */
export function equal(subject: string, what: string, expected: unknown, actual: unknown): Check {
  const [left, right] = [said(expected), said(actual)];
  return { subject, what, expected: left, actual: right, ok: left === right };
}

/** A check of two sets of names or definitions; a difference names what is missing and what is too many. */
export function sameSet(
  subject: string,
  what: string,
  expected: readonly string[],
  actual: readonly string[],
): Check {
  const missing = expected.filter((item) => !actual.includes(item));
  const extra = actual.filter((item) => !expected.includes(item));
  const difference = [
    missing.length > 0 ? `missing: ${few(missing)}` : '',
    extra.length > 0 ? `not expected: ${few(extra)}` : '',
  ].filter((part) => part !== '');
  return {
    subject,
    what,
    expected: `${expected.length}`,
    actual: difference.length === 0 ? `${actual.length}` : `${actual.length} (${difference.join('; ')})`,
    ok: difference.length === 0,
  };
}

/** A check that everything expected is there. More than that is no loss, but it is said. */
export function allThere(
  subject: string,
  what: string,
  expected: readonly string[],
  actual: readonly string[],
): Check {
  const check = sameSet(subject, what, expected, actual);
  if (check.ok || expected.some((item) => !actual.includes(item))) return check;
  return {
    ...check,
    actual: `${expected.length}, and not from the backup: ${few(actual.filter((item) => !expected.includes(item)))}`,
    ok: true,
  };
}

/**
 * Checks of something that was written to while it was backed up: `after` against what was counted at the end of that, `before`
 * at its beginning. The truth lies between: a count must, and what is no count and was changing cannot be compared.
 */
export function withinMoving(after: readonly Check[], before: readonly Check[]): Check[] {
  const early = new Map(before.map((check) => [`${check.subject}\n${check.what}`, check]));
  return after.flatMap((check) => {
    const other = early.get(`${check.subject}\n${check.what}`);
    if (check.ok || other === undefined || other.expected === check.expected) return [check];
    if (other.ok) return [other];
    const [from, to, found] = [Number(other.expected), Number(check.expected), Number(check.actual)];
    if ([from, to, found].some(Number.isNaN)) return [];
    const between = Math.min(from, to) <= found && found <= Math.max(from, to);
    return [
      {
        ...check,
        expected: `${Math.min(from, to)} to ${Math.max(from, to)} (written to during the backup)`,
        ok: between,
      },
    ];
  });
}

function few(items: readonly string[]): string {
  return items.length <= 5 ? items.join(', ') : `${items.slice(0, 5).join(', ')} and ${items.length - 5} more`;
}

function said(value: unknown): string {
  if (value === undefined || value === null) return 'absent';
  return typeof value === 'string' ? value : JSON.stringify(value);
}
