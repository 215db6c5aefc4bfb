// Secrets never reach argv, the journal, a log, a report, an error or the screen: whatever is written passes through
// `redact`, which removes every secret by its value, in each spelling that it may take on the way.

const MASK = '‹secret›';
const SHORTEST = 4;
const spellings = new Set<string>();
let pattern: RegExp | null = null;

/** Registers a secret value, for the rest of this process. Values under 4 characters are not replaced: they would mask ordinary text. */
export function keepSecret(value: string): void {
  if (value.length < SHORTEST) return;
  for (const spelling of [
    value,
    encodeURIComponent(value),
    encodeURI(value),
    new URLSearchParams({ v: value }).toString().slice(2),
    JSON.stringify(value).slice(1, -1),
    value.replaceAll("'", "'\\''"),
    value.replaceAll("'", "''"),
    value.replaceAll('\\', '\\\\').replaceAll("'", "''"),
    Buffer.from(value).toString('base64'),
  ]) {
    if (spelling.length >= SHORTEST) spellings.add(spelling);
  }
  const longestFirst = [...spellings].sort((a, b) => b.length - a.length);
  pattern = new RegExp(longestFirst.map((text) => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')).join('|'), 'g');
}

/** The text without any registered secret, and without the password part of any URL. */
export function redact(text: string): string {
  const known = pattern ? text.replace(pattern, MASK) : text;
  if (!known.includes('://')) return known;
  return known.replace(/\b([a-z][a-z0-9+]*:\/\/[^\s/:@]*):[^\s/]*@/gi, `$1:${MASK}@`);
}

/** A copy of a JSON-like value with every string in it redacted, keys included. */
export function redactDeep<T>(value: T): T {
  if (typeof value === 'string') return redact(value) as T;
  if (Array.isArray(value)) return value.map(redactDeep) as T;
  if (value !== null && typeof value === 'object' && !(value instanceof Date)) {
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [redact(key), redactDeep(inner)])) as T;
  }
  return value;
}
