import { localFiles } from '../../hosts/local-files.js';
import type { Course } from '../../stores/postgres/recovery-course.js';
import { parseTarget, TARGET_FORMS, targetWords } from '../../stores/postgres/recovery-target.js';
import { lsnText } from '../../stores/postgres/wal-position.js';
import type { Probe, StepContext, StepKind, StepPlan } from '../step.js';
import { filesEvents } from '../stopped-service.js';
import { contentMoved, type DataPlaces, isWithin, MOVING, putRight } from './data-places.js';
import { forgetLog, logWords } from './log-place.js';
import { archiveHistory, putSettingsBack, sendRest, stopForGood, undoRecovery } from './recovering.js';
import { type Emit, type RecoveryFacts, type RecoveryParams, recoveryParams } from './recovery.js';
import { bringBase, folderHere, forgetBrought, isElsewhere, proveBase } from './recovery-bringing.js';
import { recoveryChecks, stopChecks } from './recovery-evidence.js';
import { reachFindings } from './recovery-moments.js';
import { makeReady, swapIn } from './recovery-placing.js';
import { atStake, commandsOf, courseFindings, effortOf, serverFindings } from './recovery-plan.js';
import { type Survey, surveyNow, surveyOnce } from './recovery-survey.js';
import { replay } from './replay.js';
import { hostOfPostgres, reachFiles, stopServer } from './server-files.js';
import { planRecoveryUndo, recoveryUndoChecks } from './undo-plan.js';

/** Recovers Postgres to a moment: a base backup and the archived log, replayed up to just before what went wrong. */
export const postgresPointInTime: StepKind<RecoveryParams, RecoveryFacts> = {
  kind: 'postgres.point-in-time',
  effect: 'destroy',
  params: recoveryParams,
  answers: (p) => ({
    choices: [],
    give: 'target="2026-11-21 03:10:00 UTC" (or "before TRANSACTION", or latest)',
    ...(p.target === undefined ? {} : { given: p.target }),
  }),
  refuses(_p, answer) {
    const parsed = parseTarget(answer);
    return 'refusal' in parsed ? parsed.refusal : '';
  },

  async plan(p, ctx) {
    const survey = await surveyOnce(p, ctx);
    const { dataDir, aside, target, course } = survey;
    return {
      summary: `Recover Postgres to ${target ? targetWords(target) : 'a moment that is asked for'}`,
      commands: course ? await commandsOf(survey, course, ctx) : [],
      destroys: await atStake(survey, ctx),
      wayBack: dataDir === '' ? 'none' : `the data directory of now is kept as ${aside}, never deleted`,
      pointOfNoReturn: 'none: moving the old directory back undoes it',
      onAbort:
        dataDir === ''
          ? 'nothing is changed'
          : `${course && isElsewhere(course.base) ? `What was brought of the base backup stays in ${folderHere(course.base, survey, ctx)}: a resumed run goes on with it, an undo removes it. ` : ''}Postgres runs on as long as the base backup is on its way; after that it is stopped, and its old data is in ${aside} once it was moved, else still in its place. Undo puts it back and starts it. By hand: ${byHand(survey, ctx)}, and start Postgres`,
      ...(course ? effortOf(survey, course) : {}),
      ...(p.target === undefined && ctx.answer === undefined
        ? { asks: { type: 'text', question: 'To which moment shall Postgres be recovered?', hint: TARGET_FORMS } }
        : {}),
    } satisfies StepPlan;
  },

  async check(p, ctx) {
    const survey = await surveyOnce(p, ctx);
    const isAsked = p.target === undefined && ctx.answer === undefined;
    const findings = [...survey.findings];
    if (survey.course) findings.push(...courseFindings(survey, survey.course, ctx));
    // What was asked for and cannot be reached is asked for again: then the facts are wanted as well.
    if (isAsked || !survey.course) findings.push(...(await reachFindings(survey, ctx)));
    return [...findings, ...(await serverFindings(ctx))];
  },

  run: (p, ctx, signal) =>
    filesEvents<RecoveryFacts>('postgres', ctx, async (emit) => {
      const patience = p.patienceSeconds * 1000;
      await reachFiles(ctx, signal);
      await putRightBefore(ctx, emit);
      const survey = await surveyNow(p, ctx);
      const course = courseIn(survey);
      const facts = await factsFor(survey, course, ctx);
      // Before anything is done: from here on an undo has something to do, if only to remove what was brought.
      if (isElsewhere(course.base)) emit.facts(facts);
      await proveBase(survey, course.base, facts, ctx, emit, signal);
      emit.facts(facts);
      // It takes its time, and over a network it may be cut off: what runs goes on running meanwhile.
      await bringBase(course.base, facts, ctx, emit, signal);
      if ((await ctx.cluster.answering('postgres')).answers && survey.oldDir === facts.dataDir)
        await sendRest(survey, ctx, emit, signal);
      await stopForGood(facts.dataDir, ctx, emit, signal);
      // Now that nothing is written any more: the last words of the old server count too.
      const after = await surveyNow(p, ctx);
      const final = courseIn(after);
      Object.assign(facts, expectations(final));
      emit.facts(expectations(final));
      if (final.base.folder !== course.base.folder) {
        await proveBase(after, final.base, facts, ctx, emit, signal);
        await bringBase(final.base, facts, ctx, emit, signal);
      }
      await makeReady(after, final, p, facts, ctx, emit, signal);
      await swapIn(facts, ctx, emit);
      await forgetBrought(facts, ctx);
      try {
        const words = await replay(after, final, facts, ctx, emit, patience, signal);
        facts.said = {
          began: words.began,
          ...(words.stopped === undefined ? {} : { stopped: words.stopped }),
          ...(words.stoppedBefore === undefined ? {} : { stoppedBefore: words.stoppedBefore }),
          ...(words.redoDone === undefined ? {} : { redoDone: lsnText(words.redoDone) }),
          ...(words.newTimeline === undefined ? {} : { newTimeline: words.newTimeline }),
        };
        emit.facts({ said: facts.said });
        // Before anybody can work on it: a server that went elsewhere is as writable as one that went where it should.
        const astray = stopChecks(facts).find((check) => !check.ok);
        if (astray)
          throw new Error(
            `the server did not recover as it should: ${astray.what}: expected ${astray.expected}, found ${astray.actual}. It is stopped again`,
          );
        await putSettingsBack(facts, after, ctx, emit, signal);
        await archiveHistory(facts, after, ctx, emit, signal);
      } catch (error) {
        // A half-recovered server that answers would be taken for a whole one.
        await stopServer(ctx, emit, new AbortController().signal, 60_000).catch((stopping: Error) =>
          emit.output(`warning: ${stopping.message}`),
        );
        throw error;
      }
      emit.facts({ completed: true });
      emit.output(
        `recovered; the data of before is kept in ${facts.aside}${await logWords(facts.aside, ctx)} until somebody removes it`,
      );
    }),

  verify: recoveryChecks,

  async probe(p, ctx, facts): Promise<Probe> {
    if (facts.dataDir === undefined || !facts.swapping) return 'not-started';
    if (!facts.completed) return 'partial';
    const checks = await recoveryChecks(p, ctx, facts as RecoveryFacts).catch(() => undefined);
    return checks?.every((check) => check.ok) ? 'done' : 'partial';
  },

  undo: (_p, ctx, facts) => filesEvents<RecoveryFacts>('postgres', ctx, (emit) => undoRecovery(facts, ctx, emit)),
  planUndo: (_p, ctx, facts, since) => planRecoveryUndo(ctx, facts, since),
  verifyUndo: (_p, ctx, facts) => recoveryUndoChecks(ctx, facts),
};

/** The way back as lines for a shell where the files are. */
function byHand(places: DataPlaces, ctx: StepContext): string {
  const { dataDir, aside } = places;
  const { here, files } = hostOfPostgres(ctx);
  const plainly = localFiles.said;
  const back = isWithin(places)
    ? [
        plainly('mkdir', '-p', `${aside}-undone`),
        contentMoved(dataDir, `${aside}-undone`, plainly),
        contentMoved(aside, dataDir, plainly),
      ].join(' && ')
    : `mv ${dataDir} ${dataDir}.undone; mv ${aside} ${dataDir}`;
  const line = `if [ -d ${aside} ]; then ${back}; fi`;
  const half = isWithin(places) ? `; ${halfByHand(places)}` : '';
  return here ? `${line}${half}` : files.said('sh', '-c', `${line}${half}`);
}

/** What was ended half-way on its way aside, or back. */
function halfByHand({ dataDir, aside }: DataPlaces): string {
  const half = `${aside}${MOVING}`;
  return `if [ -d ${half} ]; then ${contentMoved(half, dataDir, localFiles.said)}; fi`;
}

/** An earlier attempt may have been ended in the middle of its moving, or with a log made ready that is brought anew. */
async function putRightBefore(ctx: StepContext, emit: Emit): Promise<void> {
  const { dataDir, aside, swapping, log } = ctx.earlier as Partial<RecoveryFacts>;
  if (dataDir === undefined || aside === undefined) return;
  const places = { dataDir, aside, ...(log ? { log } : {}) };
  if (swapping) await putRight(places, ctx, emit);
  await forgetLog(places, ctx);
}

/** The course, or an error with what stands in its way. */
function courseIn({ findings, course, target }: Survey): Course {
  const obstacle = findings.find((finding) => finding.level === 'blocking');
  if (obstacle) throw new Error(`${obstacle.message}${obstacle.next ? `. Next: ${obstacle.next}` : ''}`);
  if (!course) throw new Error(target ? 'there is no way to that moment' : 'nobody has said to which moment');
  return course;
}

async function factsFor(survey: Survey, course: Course, ctx: StepContext): Promise<RecoveryFacts> {
  const earlier = ctx.earlier as Partial<RecoveryFacts>;
  const { postgres } = ctx.cluster;
  const { answers } = await ctx.cluster.answering('postgres');
  const mode = answers
    ? await postgres
        .maintenanceDatabase()
        .then((database) =>
          postgres.read<{ mode: string }>("SELECT current_setting('archive_mode') AS mode", [], database),
        )
        .then(([row]) => row?.mode)
        .catch(() => undefined)
    : undefined;
  const archiveMode = earlier.dataDir === undefined ? mode : earlier.archiveMode;
  return {
    dataDir: survey.dataDir,
    aside: survey.aside,
    ...(survey.log ? { log: survey.log } : {}),
    hadData: earlier.hadData ?? survey.oldDir !== undefined,
    wasRunning: earlier.wasRunning ?? answers,
    timelineBefore: earlier.timelineBefore ?? survey.known!.current,
    ...(archiveMode === undefined ? {} : { archiveMode }),
    ...(earlier.swapping ? { swapping: true } : {}),
    ...(earlier.swapped ? { swapped: true } : {}),
    ...expectations(course),
  };
}

function expectations({ target, stop, last }: Course) {
  return {
    target: targetWords(target),
    ...(stop
      ? {
          expected: {
            lsn: lsnText(stop.lsn),
            words: stop.words,
            ...(stop.transaction === undefined ? {} : { transaction: stop.transaction }),
          },
        }
      : {}),
    ...(last ? { last: { lsn: lsnText(last.lsn), transaction: last.transaction } } : {}),
  };
}
