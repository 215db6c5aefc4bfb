import type { BackupSet } from '../../stores/backup-set/backup-set.js';
import { type Check, equal } from '../../stores/check.js';
import { all, type Crosscheck, DIFFERENCES, type DifferenceKind } from '../../stores/crosscheck/crosscheck.js';
import { nodesLabelled } from '../../stores/falkordb/inventory.js';
import { countOf, durationOf } from '../../words.js';
import { falkordbRestore } from '../falkordb/restore.js';
import { postgresRestore } from '../postgres/restore.js';
import { qdrantRestore } from '../qdrant/restore.js';
import type { StepContext } from '../step.js';

// What a cross-check lets pass. The rule:
//
// 1. What is pending (novamem has yet to embed it), `recent` (written within the last minute) or `known` (an orphan that novamem
//    has noted itself) always passes.
// 2. All three stores restored from one backup set, which was not written to while it was taken: exactly as many
//    unexplained differences as the set itself recorded, usually none.
// 3. All three restored from one set that was written to meanwhile: as many as it recorded, and at least a share (`tolerance`) of
//    the memories: what was forgotten between two stores' moments.
//    Loose files cannot say how their stores agreed: nothing fails, but more than that share is an exception of the run.
// 4. Anything else (one store restored, a point in time, nothing restored): none.
// 5. `younger` (written after the moment for which the other store stands) passes in 2 and 3.
// 6. In a drill (`strict`) neither `recent` nor `younger` passes: nobody writes there, and a set is to be of one moment.
// 7. `allow` lets pass what it names, in any number; `younger` is a stray that is younger than what Postgres holds.
// 8. Whatever is allowed: where there are vectors (nodes), some must be of a memory in Postgres, else these are stores of two
//    clusters; and no fewer vectors (nodes) than the backup set holds may have come back.

/** What may be let pass by name. */
export const ALLOWED = ['younger', 'missing', 'stray', 'double'] as const;
export type Allowed = (typeof ALLOWED)[number];

export interface CrosscheckParams {
  allow: Allowed[];
  tolerance: number;
  strict: boolean;
}

export interface Rule {
  /** How many differences of a kind may be there that do not explain themselves. */
  limits: Record<DifferenceKind, (memories: number) => number>;
  youngerPasses(kind: DifferenceKind): boolean;
  recentPasses: boolean;
  /** Differences beyond the limits are an exception of the run and do not fail it. */
  lenient: boolean;
  /** The moments that are known, ms since 1970. */
  moments: { postgres?: number; qdrant?: number; falkordb?: number };
  /** At least so many must be there, as the backup set says. */
  atLeast: { collections?: Record<string, number>; nodes?: number };
  /** In a drill of a whole set: how far its stores' moments lie apart, ms. */
  apart?: number;
  /** The rule in a sentence. */
  words: string;
}

/** Which rule holds in this run. */
export function ruleOf(p: CrosscheckParams, ctx: StepContext): Rule {
  const restored = {
    postgres: ctx.factsOf(postgresRestore).length > 0,
    qdrant: ctx.factsOf(qdrantRestore).length > 0,
    falkordb: ctx.factsOf(falkordbRestore).length > 0,
  };
  const { backup } = ctx;
  const whole = backup !== undefined && restored.postgres && restored.qdrant && restored.falkordb;
  const recorded = whole ? backup.inventory?.agreement : undefined;
  const sure = whole && isQuiet(backup);
  const share = whole && !sure ? p.tolerance : 0;
  const limit = (kind: DifferenceKind) => {
    if (p.allow.includes(familyOf(kind))) return () => Number.POSITIVE_INFINITY;
    return (memories: number) => Math.max(recorded?.differences[kind] ?? 0, Math.ceil(memories * share));
  };
  const at = backup?.kind === 'manifest' ? backup.takenAt?.getTime() : undefined;
  const momentOf = (store: keyof typeof restored) => (restored[store] && at !== undefined ? { [store]: at } : {});
  return {
    limits: Object.fromEntries(DIFFERENCES.map((kind) => [kind, limit(kind)])) as Rule['limits'],
    lenient: whole && backup.kind === 'loose',
    recentPasses: !p.strict,
    youngerPasses: (kind) => (whole && !p.strict) || (p.allow.includes('younger') && familyOf(kind) === 'stray'),
    moments: { ...momentOf('postgres'), ...momentOf('qdrant'), ...momentOf('falkordb') },
    atLeast: {
      ...(restored.qdrant && backup ? { collections: pointsOf(backup) } : {}),
      ...(restored.falkordb && backup ? nodesOf(backup, ctx.cluster.falkordb.graph) : {}),
    },
    ...(p.strict && whole && backup.skewMs !== undefined ? { apart: backup.skewMs } : {}),
    words: wordsOf(p, backup, whole, sure),
  };
}

/** Whether a set says of itself that nothing was written while it was taken; one that recorded no agreement, that no store moved. */
function isQuiet({ kind, moving, inventory }: BackupSet): boolean {
  const moved = inventory?.agreement?.moved ?? false;
  return kind === 'manifest' && !moved && Object.keys(moving?.qdrant ?? {}).length === 0 && !moving?.falkordb;
}

function wordsOf(p: CrosscheckParams, backup: BackupSet | undefined, whole: boolean, sure: boolean): string {
  const allowed = p.allow.length > 0 ? `; allowed besides: ${p.allow.join(', ')}` : '';
  if (!whole || !backup) return `the stores must agree about every memory${allowed}`;
  if (sure) return `all three stores come from backup ${backup.id}: they must agree as they did then${allowed}`;
  return `backup ${backup.id} cannot say that its parts agree: up to ${p.tolerance * 100} % of the memories may differ${allowed}`;
}

const familyOf = (kind: DifferenceKind): Allowed => kind.split('-')[0] as Allowed;

/** Points of each collection that the set surely holds. */
function pointsOf({ inventory, moving }: BackupSet): Record<string, number> {
  return Object.fromEntries(
    Object.entries(inventory?.qdrant?.collections ?? {}).map(([name, { points }]) => [
      name,
      Math.min(points, moving?.qdrant[name]?.points ?? points),
    ]),
  );
}

function nodesOf({ inventory, moving }: BackupSet, graph: string): { nodes?: number } {
  if (!inventory?.falkordb) return {};
  const counted = [inventory.falkordb, moving?.falkordb].filter((one) => one !== undefined);
  return { nodes: Math.min(...counted.map((one) => nodesLabelled(one, graph, 'Memory'))) };
}

/** How many differences of a kind speak against it. */
export function against(
  { differences }: Crosscheck,
  kind: DifferenceKind,
  { youngerPasses, recentPasses }: Rule,
): number {
  const { unexplained, younger, recent } = differences[kind];
  return unexplained + (youngerPasses(kind) ? 0 : younger) + (recentPasses ? 0 : recent);
}

/** The evidence of a cross-check under a rule. */
export function crosscheckChecks(found: Crosscheck, rule: Rule): Check[] {
  const { atLeast, apart } = rule;
  if (rule.lenient)
    return [
      equal('qdrant', 'vectors looked at', sumOf(found.collections), found.vectors),
      ...DIFFERENCES.map((kind) => ({
        ...differenceCheck(found, kind, rule),
        expected: 'any (loose files)',
        ok: true,
      })),
    ];
  return [
    ...(apart === undefined ? [] : [nearEnough(apart)]),
    belongs('qdrant', 'vectors matched', found.vectors, found.withVector),
    belongs('falkordb', 'nodes matched', found.nodes, found.withNode),
    ...(atLeast.collections
      ? [
          enough(
            'qdrant',
            'vectors in all',
            sumOf(atLeast.collections),
            sumIn(found.collections, atLeast.collections),
          ),
        ]
      : []),
    ...(atLeast.nodes === undefined ? [] : [enough('falkordb', 'nodes in all', atLeast.nodes, found.nodes)]),
    ...DIFFERENCES.map((kind) => differenceCheck(found, kind, rule)),
  ];
}

/** What a lenient rule makes an exception of the run; empty where nothing is. Stores that name no memory at all cannot be compared. */
export function exceptionOf(found: Crosscheck, rule: Rule): string {
  if (!rule.lenient) return '';
  const counted = DIFFERENCES.filter((kind) => {
    const there = kind.endsWith('vectors') ? found.vectors : found.nodes;
    const [strays] = [found.differences[kind.endsWith('vectors') ? 'stray-vectors' : 'stray-nodes']];
    const named = strays.nameless < there;
    return named && against(found, kind, rule) > rule.limits[kind](found.memories);
  });
  const words = counted.map((kind) => `${countOf(against(found, kind, rule))} ${kind.replace('-', ' ')}`);
  return words.length === 0
    ? ''
    : `the stores do not agree: ${words.join(', ')}; loose files cannot say whether they did before`;
}

function differenceCheck(found: Crosscheck, kind: DifferenceKind, rule: Rule): Check {
  const tally = found.differences[kind];
  const count = against(found, kind, rule);
  const limit = rule.limits[kind](found.memories);
  const passing = all(tally) - count;
  return {
    subject: kind.endsWith('vectors') ? 'qdrant' : 'falkordb',
    what: kind.replace('-', ' '),
    expected:
      limit === 0 ? 'none' : limit === Number.POSITIVE_INFINITY ? 'any (allowed)' : `at most ${countOf(limit)}`,
    actual:
      (count === 0 ? 'none' : countOf(count)) +
      (passing > 0 ? `, ${countOf(passing)} explained` : '') +
      (count > limit ? `: ${tally.examples.slice(0, 2).join(', ')}${count > 2 ? ', …' : ''}` : ''),
    ok: count <= limit,
  };
}

/** The parts of a backup set are to be of one moment, as far as taking it allows. */
const FARTHEST_APART = 3_600_000;

function nearEnough(apartMs: number): Check {
  return {
    subject: 'backup set',
    what: 'moments of its stores apart',
    expected: `at most ${durationOf(FARTHEST_APART)}`,
    actual: durationOf(apartMs),
    ok: apartMs <= FARTHEST_APART,
  };
}

function belongs(subject: string, what: string, there: number, matched: number): Check {
  return {
    subject,
    what,
    expected: there === 0 ? 'none, as there is none' : 'more than 0',
    actual: there === 0 ? 'none, as there is none' : countOf(matched),
    ok: there === 0 || matched > 0,
  };
}

function enough(subject: string, what: string, expected: number, actual: number): Check {
  return {
    subject,
    what,
    expected: `at least ${countOf(expected)}`,
    actual: countOf(actual),
    ok: actual >= expected,
  };
}

const sumOf = (counts: Record<string, number>) => Object.values(counts).reduce((sum, count) => sum + count, 0);
const sumIn = (counts: Record<string, number>, names: Record<string, number>) =>
  Object.keys(names).reduce((sum, name) => sum + (counts[name] ?? 0), 0);
