import type { BackupSet } from '../../stores/backup-set/backup-set.js';
import { openBackupSet } from '../../stores/backup-set/open-backup-set.js';
import { readingPlan, type StepContext, type StepKind } from '../step.js';
import { stepEvents } from '../step-events.js';
import { postgresRestore } from './restore.js';
import type { RestoreFacts, RestoreParams } from './restoring.js';
import { postgresSalvage, salvageOf } from './salvage.js';
import { postgresSurvey } from './survey.js';

/** The context in which the restore finds what this run has salvaged as its backup set; undefined where nothing was. */
async function withSalvaged(ctx: StepContext): Promise<(StepContext & { backup: BackupSet }) | undefined> {
  const salvaged = salvageOf(ctx);
  return salvaged && { ...ctx, backup: await openBackupSet(salvaged.folder) };
}

const NOTHING = 'this run has salvaged nothing';

/** Restores what this run has salvaged, as `postgres.restore` restores a backup set. */
export const postgresRestoreSalvaged: StepKind<RestoreParams, RestoreFacts> = {
  kind: 'postgres.restore-salvaged',
  effect: 'destroy',
  params: postgresRestore.params,

  async plan(p, ctx) {
    const salvaged = await withSalvaged(ctx);
    if (salvaged) return postgresRestore.plan(p, salvaged);
    const summary = `Restore (${p.strategy}) what this run salvages`;
    return readingPlan(summary, [], {
      uncounted: 'nothing is salvaged yet',
      wayBack:
        p.strategy === 'swap'
          ? 'the old database is kept under a dated name'
          : 'a dump of the database is taken before',
      onAbort: 'as an ordinary restore',
    });
  },

  async check(p, ctx) {
    const salvaged = await withSalvaged(ctx);
    if (!salvaged) {
      if (ctx.phase === 'ready' || ctx.factsOf(postgresSurvey).length > 0)
        return [{ level: 'blocking', message: NOTHING, next: 'choose to start empty, or salvage first' }];
      return [{ level: 'info', message: 'what can be salvaged is known once the salvage was made' }];
    }
    const { text, exception } = postgresSalvage.conclusion!(salvageOf(ctx)!)!;
    return [{ level: exception ? 'warning' : 'info', message: text }, ...(await postgresRestore.check(p, salvaged))];
  },

  run: (p, ctx, signal) =>
    stepEvents<RestoreFacts>(async (emit) => {
      const salvaged = await withSalvaged(ctx);
      if (!salvaged) throw new Error(NOTHING);
      for await (const event of postgresRestore.run(p, salvaged, signal)) emit.push(event);
    }),

  verify: (p, ctx, facts) => postgresRestore.verify(p, ctx, facts),
  probe: (p, ctx, facts) => postgresRestore.probe(p, ctx, facts),
  undo: (p, ctx, facts) => postgresRestore.undo!(p, ctx, facts),
  planUndo: (p, ctx, facts, since) => postgresRestore.planUndo!(p, ctx, facts, since),
  verifyUndo: (p, ctx, facts) => postgresRestore.verifyUndo!(p, ctx, facts),
  conclusion: (facts) => postgresRestore.conclusion!(facts),
};
