import { z } from 'zod';
import { type Check, equal } from '../../stores/check.js';
import {
  compareSearch,
  compareSearchSince,
  foundCheck,
  type GoldenSearch,
  sampleSearches,
} from '../../stores/novamem/golden-searches.js';
import { NoSearch, search, searchText } from '../../stores/novamem/search.js';
import { isStandIn } from '../../stores/novamem/stand-in-title.js';
import { messageOf, plural } from '../../words.js';
import { readingPlan, type StepContext, type StepKind } from '../step.js';
import { stepEvents } from '../step-events.js';

const params = z.strictObject({
  /** How far apart a score or signal may lie from the recorded one. */
  tolerance: z.number().nonnegative().max(1).default(0.001),
  /** The cluster was not put back as a whole: a golden search that differs is compared by what was there then and still is. */
  writtenSince: z.boolean().default(false),
  /** How many sampled memories are searched for where the backup set has no golden searches. */
  samples: z.number().int().positive().max(50).default(5),
  /** A backup set is put to the proof: that no scores could be compared is an exception, but where the profile waives them (drill.recall). */
  strict: z.boolean().default(false),
});
type Params = z.infer<typeof params>;
interface Facts {
  checks: Check[];
  /** Why the golden searches were not compared; empty where they were, or there are none. */
  incomparable: string;
  /** The profile says that this is no exception. */
  waived: boolean;
}

const searches = (count: number) => plural(count, 'golden search', 'golden searches');

/** Proves recall: the golden searches of the backup set find the same memories with the same scores; without any, sampled memories are found. */
export const novamemSearch: StepKind<Params, Facts> = {
  kind: 'novamem.search',
  effect: 'read',
  provesAll: true,
  params,
  async plan(p, ctx) {
    const golden = goldenOf(ctx);
    const summary =
      golden.length > 0
        ? `Compare ${searches(golden.length)} with what they found when the backup was taken`
        : `Search for ${plural(p.samples, 'sampled memory', 'sampled memories')}: each must be found`;
    const { novamem } = ctx.cluster;
    const why = await unsearchable(ctx);
    return readingPlan(
      summary,
      novamem
        ? (golden.length > 0
            ? golden.map(({ results: _, ...request }) => request)
            : [{ query: 'WORDS OF A MEMORY', k: 10 }]
          ).map((request) => searchText(novamem, request))
        : [],
      why ? { notApplicable: why } : {},
    );
  },
  async check(_p, ctx) {
    if (!ctx.cluster.novamem)
      return [
        {
          level: 'warning',
          message: 'the profile does not say where novamem is: recall cannot be proven',
          next: 'add novamem.url',
        },
      ];
    const golden = goldenOf(ctx);
    if (golden.length > 0)
      return [{ level: 'info', message: `${searches(golden.length)} were recorded with the backup` }];
    return [
      {
        level: 'info',
        message: `${ctx.backup ? 'this backup set has' : 'without a backup set there are'} no golden searches: memories sampled from Postgres are searched for instead`,
      },
    ];
  },
  run: (p, ctx, signal) =>
    stepEvents<Facts>(async (emit) => {
      const golden = goldenOf(ctx);
      const { why: incomparable, foreign } = await comparability(p, ctx);
      if (incomparable) emit.output(`warning: ${incomparable}`);
      const checks =
        golden.length > 0 && !incomparable
          ? await compareAll()
          : foreign
            ? [await answersSearches(ctx)]
            : await findSamples(p, ctx);
      emit.facts({ checks, incomparable, waived: p.strict && !ctx.cluster.profile.drill.recall });

      async function compareAll(): Promise<Check[]> {
        const all: Check[] = [];
        for (const [index, one] of golden.entries()) {
          signal.throwIfAborted();
          const { checks, how } = await compareOne(p, ctx, one);
          all.push(...checks);
          emit.progress({ done: index + 1, total: golden.length, unit: 'items', text: 'golden searches' });
          emit.output(
            `"${one.query}": ${plural(one.results.length, 'memory', 'memories')} expected, ${checks.every((check) => check.ok) ? how : 'DIFFERENT'}`,
          );
        }
        return all;
      }
    }),
  verify: async (_p, _ctx, { checks }) => checks,
  conclusion: ({ incomparable = '', waived = false }) =>
    incomparable === '' ? undefined : { text: `scores are not proven: ${incomparable}`, exception: !waived },
  probe: async () => 'not-started',
};

async function compareOne(
  { tolerance, writtenSince }: Params,
  { cluster, backup }: StepContext,
  golden: GoldenSearch,
): Promise<{ checks: Check[]; how: string }> {
  const { results: _, ...request } = golden;
  const exact = compareSearch(golden, await search(cluster.novamem!, request), tolerance);
  if (exact.every((check) => check.ok) || !writtenSince || !backup?.takenAt) return { checks: exact, how: 'equal' };
  return {
    checks: await compareSearchSince(cluster.novamem!, cluster.postgres, golden, backup.takenAt),
    how: 'all that is as it was then is found with every signal; scores and new memories differ',
  };
}

/**
 * Why the golden searches cannot be compared here; empty where they can, or need not be. Scores are made by the service, and a
 * stand-in makes others. `foreign`: it does not even know the users and the collections of a real novamem.
 */
async function comparability({ strict }: Params, ctx: StepContext): Promise<{ why: string; foreign: boolean }> {
  const { backup, cluster } = ctx;
  if (!backup || (goldenOf(ctx).length === 0 && !strict)) return { why: '', foreign: false };
  const now = (await isStandIn(cluster.novamem!)) ? 'stand-in' : 'novamem';
  const recorded = backup.goldenSearchesBy ?? 'novamem';
  const foreign = now === 'stand-in' && recorded === 'novamem';
  const title = { novamem: 'a real novamem', 'stand-in': 'a stand-in' };
  if (now !== recorded) return { why: `${title[recorded]} recorded them, and ${title[now]} answers`, foreign };
  return { why: goldenOf(ctx).length === 0 ? 'no golden searches were recorded with this backup' : '', foreign };
}

/** That it answers at all: what it finds, and in which tiers, says nothing of a cluster whose users it does not know. */
async function answersSearches({ cluster }: StepContext): Promise<Check> {
  const answer = await search(cluster.novamem!, { query: 'recall', k: 1 }).then(() => 'yes', messageOf);
  return equal('novamem', 'answers a search', 'yes', answer);
}

const goldenOf = ({ backup }: StepContext) => backup?.goldenSearches ?? [];

/** Why recall cannot be proven here; empty where it can. Whether the server searches for this token is only asked when it is this step's turn. */
async function unsearchable(ctx: StepContext): Promise<string> {
  const { novamem } = ctx.cluster;
  if (!novamem) return 'the profile does not say where novamem is';
  if (ctx.phase === 'preflight') return '';
  if (!ctx.cluster.driver('novamem') && !(await ctx.cluster.answering('novamem')).answers)
    return 'novamem does not answer and must be started by hand: recall is not proven';
  if (goldenOf(ctx).length > 0) return '';
  try {
    await search(novamem, { query: 'recall', k: 1 });
    return '';
  } catch (error) {
    if (error instanceof NoSearch) return `recall cannot be proven: ${messageOf(error)}`;
    throw error;
  }
}

async function findSamples(p: Params, { cluster }: StepContext): Promise<Check[]> {
  const novamem = cluster.novamem!;
  const { samples, tried } = await sampleSearches(novamem, cluster.postgres, p.samples);
  if (tried === 0) {
    const { results } = await search(novamem, { query: 'recall', k: 1 });
    return [equal('novamem', 'search results where Postgres holds no memory', 0, results.length)];
  }
  if (samples.length === 0) return [equal('novamem', `found by search, of ${tried} sampled memories`, 'any', 'none')];
  const checks: Check[] = [];
  for (const sample of samples) checks.push(foundCheck(sample, await search(novamem, sample.request)));
  return checks;
}
