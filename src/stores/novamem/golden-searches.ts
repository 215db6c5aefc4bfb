import type { z } from 'zod';
import { type SearchRequest, searchRequestSchema } from '../../config/profile.js';
import { countOf, plural } from '../../words.js';
import { type Check, equal } from '../check.js';
import type { Postgres } from '../postgres/connection.js';
import type { Novamem } from './connection.js';
import { type SearchAnswer, search, searchResultSchema } from './search.js';
import { isStandIn } from './stand-in-title.js';

/** A search and what it found when the backup was taken. */
export const goldenSearchSchema = searchRequestSchema.extend({ results: searchResultSchema.array() });
export type GoldenSearch = z.infer<typeof goldenSearchSchema>;

/** A search for the words of one memory, which must find that memory. */
export interface SampledSearch {
  id: string;
  content: string;
  request: SearchRequest;
}

const WORDS = 8;
const TRIED_FOR_A_USER = 3;
const USERS_TRIED = 50;
/** Of a search whose scores are others, so many memories are told one by one. */
const NAMED = 5;

/**
 * Searches for sampled memories of the user as whom the profile's token searches, at most `count`: a few memories
 * of each user are searched for until one is found, of the users with the most memories first. Empty when no user's memory is. The same memories are chosen every time.
 */
export async function sampleSearches(
  novamem: Novamem,
  postgres: Postgres,
  count: number,
): Promise<{ samples: SampledSearch[]; tried: number }> {
  const rows = await postgres.read<{
    user: string;
    id: string;
    project: string | null;
    namespace: string;
    content: string;
  }>(
    `SELECT of.user_id AS "user", m.id::text, m.project_id AS project, m.namespace, m.content
       FROM (SELECT user_id, count(*) AS memories FROM memory_entries GROUP BY 1 ORDER BY memories DESC, user_id LIMIT $2) AS of
      CROSS JOIN LATERAL (
            SELECT e.*, hashtextextended(id::text, 0) AS place FROM memory_entries e
             WHERE e.user_id = of.user_id ORDER BY place LIMIT $1) AS m
      WHERE m.content ~ '[[:alnum:]]{3}' ORDER BY of.memories DESC, of.user_id, m.place`,
    [Math.max(TRIED_FOR_A_USER, count), USERS_TRIED],
  );
  let tried = 0;
  for (const of of Map.groupBy(rows, (row) => row.user).values()) {
    const samples = of.map(sampleOf);
    for (const sample of samples.slice(0, TRIED_FOR_A_USER)) {
      tried += 1;
      if (finds(sample, await search(novamem, sample.request))) return { samples: samples.slice(0, count), tried };
    }
  }
  return { samples: [], tried };
}

function sampleOf(row: { id: string; project: string | null; namespace: string; content: string }): SampledSearch {
  const query = (row.content.match(/[\p{L}\p{N}]+/gu) ?? []).slice(0, WORDS).join(' ');
  const { id, content, namespace, project } = row;
  return { id, content, request: { query, k: 10, namespace, ...(project === null ? {} : { project }) } };
}

/** Whether a sampled memory is among the results, or one that says the very same. */
export function finds(sample: SampledSearch, answer: SearchAnswer): boolean {
  return answer.results.some((result) => result.id === sample.id || result.content === sample.content);
}

/** The evidence that a sampled memory is found. */
export function foundCheck(sample: SampledSearch, answer: SearchAnswer): Check {
  const found = finds(sample, answer) ? 'found' : `not among ${answer.results.length} results`;
  return equal(
    `novamem memory ${sample.id}`,
    'sampled memory by search',
    'found',
    answer.degraded ? `${found}, but a tier failed (degraded)` : found,
  );
}

/**
 * The evidence that a golden search finds the same memories with the same scores and signals. `tolerance`: how far apart two
 * scores may lie. Where the list was cut off, memories whose scores are that near to the last may stand for each other.
 */
export function compareSearch(golden: GoldenSearch, answer: SearchAnswer, tolerance: number): Check[] {
  const subject = `novamem search "${golden.query}"`;
  const now = new Map(answer.results.map((result) => [result.id, result]));
  const before = new Set(golden.results.map((result) => result.id));
  const cutOff = golden.results.length === golden.k ? golden.results.at(-1)!.score : Number.NEGATIVE_INFINITY;
  // One may stand for another; none may simply be gone.
  const isFull = answer.results.length >= golden.results.length;
  const mayVary = ({ score }: { score: number }) => isFull && Math.abs(score - cutOff) <= tolerance;
  const missing = golden.results.filter((result) => !now.has(result.id) && !mayVary(result));
  const extra = answer.results.filter((result) => !before.has(result.id) && !mayVary(result));
  const differences = missing.length + extra.length;
  const size = countOf(golden.results.length);
  return [
    equal(subject, 'golden search: degraded', 'no', answer.degraded ? 'yes' : 'no'),
    {
      subject,
      what: 'golden search: same memories',
      expected: size,
      actual: differences === 0 ? size : `${answer.results.length}, ${plural(differences, 'difference')}`,
      ok: differences === 0,
    },
    ...missing.map(({ id, score }) => different(subject, id, `score ${rounded(score)}`, 'not found')),
    ...extra.map(({ id, score }) => different(subject, id, 'not found', `score ${rounded(score)}`)),
    ...scoreChecks(subject, golden, now, tolerance),
  ];
}

const WIDER = 2;
const WIDEST = 100;

/**
 * The evidence for a golden search on a cluster that was written to since the backup, where other memories may be found and
 * relations have grown: every memory that it found and that is as it was then is still found, with every signal that it had.
 * Asked for twice as many, so that what is new does not push it off the list.
 */
export async function compareSearchSince(
  novamem: Novamem,
  postgres: Postgres,
  golden: GoldenSearch,
  since: Date,
): Promise<Check[]> {
  const { results, ...request } = golden;
  const asked = Math.min(WIDEST, request.k * WIDER);
  const answer = await search(novamem, { ...request, k: asked });
  const ids = [...new Set([...results, ...answer.results].map((result) => result.id))];
  const rows = await postgres.read<{ id: string; changed: boolean }>(
    'SELECT id::text AS id, greatest(created_at, updated_at) > $2 AS changed FROM memory_entries WHERE id::text = ANY($1)',
    [ids, since],
  );
  const changed = new Map(rows.map((row) => [row.id, row.changed]));
  const still = results.filter((result) => changed.get(result.id) === false);
  const now = new Map(answer.results.map((result) => [result.id, result]));
  const younger = answer.results.filter((result) => changed.get(result.id)).length;
  // Only so many that are new can have pushed one off a list that is that much longer.
  const mayBePushedOff = younger > asked - results.length;
  const missing = still.filter((result) => !now.has(result.id));
  const silent = still.flatMap((result) =>
    Object.keys(result.signals)
      .filter((name) => now.has(result.id) && now.get(result.id)!.signals[name] === undefined)
      .map((name) => `${result.id} without ${name}`),
  );
  const subject = `novamem search "${golden.query}"`;
  return [
    equal(subject, 'golden search: degraded', 'no', answer.degraded ? 'yes' : 'no'),
    {
      subject,
      what: 'golden search: memories as then still found',
      expected: countOf(still.length),
      actual:
        missing.length === 0
          ? countOf(still.length)
          : `${still.length - missing.length} (missing: ${missing.map(({ id }) => id).join(', ')})`,
      ok: missing.length === 0 || mayBePushedOff,
    },
    equal(subject, 'golden search: signals as then', 'all there', silent.join('; ') || 'all there'),
  ];
}

/** One memory of a search that is not as it was. */
const different = (subject: string, id: string, expected: string, actual: string): Check => ({
  subject: `${subject}, memory ${id}`,
  what: 'golden search: one memory',
  expected,
  actual,
  ok: false,
});

/** One check for all scores and signals, and one for each of the memories in which they are furthest off. */
function scoreChecks(
  subject: string,
  golden: GoldenSearch,
  now: ReadonlyMap<string, SearchAnswer['results'][number]>,
  tolerance: number,
): Check[] {
  const apart = golden.results.flatMap((expected) => {
    const actual = now.get(expected.id);
    if (!actual) return [];
    const signals = new Set([...Object.keys(expected.signals), ...Object.keys(actual.signals)]);
    const off = [
      { name: 'score', was: expected.score as number | undefined, is: actual.score as number | undefined },
      ...[...signals].map((name) => ({ name, was: expected.signals[name], is: actual.signals[name] })),
    ].filter(({ was, is }) => was === undefined || is === undefined || Math.abs(was - is) > tolerance);
    if (off.length === 0) return [];
    const told = (side: 'was' | 'is') => off.map((one) => `${one.name} ${rounded(one[side])}`).join(', ');
    const farthest = Math.max(...off.map(({ was = 0, is = 0 }) => Math.abs(was - is)));
    return [{ farthest, check: different(subject, expected.id, told('was'), told('is')) }];
  });
  return [
    {
      subject,
      what: 'golden search: scores and signals',
      expected: `within ${tolerance}`,
      actual:
        apart.length === 0 ? `within ${tolerance}` : `further off in ${plural(apart.length, 'memory', 'memories')}`,
      ok: apart.length === 0,
    },
    ...apart
      .sort((a, b) => b.farthest - a.farthest)
      .slice(0, NAMED)
      .map(({ check }) => check),
  ];
}

const rounded = (score: number | undefined) => (score === undefined ? 'none' : String(Math.round(score * 1e4) / 1e4));

/**
 * Asks the searches that a backup set is to remember: the profile's own, else those of sampled memories. A search that finds
 * something written after `dumpedAt` is left out, since the backup does not hold it. `notes` say what is missing, and why.
 */
export async function recordSearches(
  novamem: Novamem,
  postgres: Postgres,
  { own, count, dumpedAt }: { own: SearchRequest[]; count: number; dumpedAt: string },
): Promise<{ searches: GoldenSearch[]; notes: string[]; by: 'novamem' | 'stand-in' }> {
  const by = (await isStandIn(novamem)) ? 'stand-in' : 'novamem';
  const requests =
    own.length > 0 ? own : (await sampleSearches(novamem, postgres, count)).samples.map((sample) => sample.request);
  if (requests.length === 0)
    return { searches: [], notes: ['no golden searches: none of the sampled memories is found with this token'], by };
  const searches: GoldenSearch[] = [];
  const notes: string[] = [];
  for (const request of requests) {
    const { results, degraded } = await search(novamem, request);
    const younger = await postgres.read(
      'SELECT FROM memory_entries WHERE id::text = ANY($1) AND greatest(created_at, updated_at) > $2',
      [results.map((result) => result.id), dumpedAt],
    );
    const why = degraded ? 'a tier failed' : younger.length > 0 ? 'it finds memories written during the backup' : '';
    if (why) notes.push(`the search "${request.query}" is not recorded: ${why}`);
    else searches.push({ ...request, results: results.map(({ id, score, signals }) => ({ id, score, signals })) });
  }
  return { searches, notes, by };
}
