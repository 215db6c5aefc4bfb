import { z } from 'zod';
import { SERVICE_TITLES, SERVICES, type ServiceName } from '../config/profile.js';
import type { ServiceDriver } from '../hosts/services/driver.js';
import { steadyNow, waitFor } from '../hosts/waiting.js';
import { type Check, equal } from '../stores/check.js';
import type { Cluster } from '../stores/cluster.js';
import { durationOf } from '../words.js';
import { type Finding, readingPlan, type StepContext, type StepKind, type StepPlan } from './step.js';
import { type Emitter, stepEvents } from './step-events.js';

const params = z.strictObject({
  service: z.enum(SERVICES),
  /** How long it may take until the service is ready, or gone. */
  patienceSeconds: z.number().int().positive().max(86_400).default(180),
});
type Params = z.infer<typeof params>;
type Facts = { wasRunning: boolean };

/** Whether the profile says anything about a service at all. */
function isKnown(cluster: Cluster, service: ServiceName): boolean {
  return service !== 'novamem' || cluster.novamem !== undefined || cluster.driver(service) !== undefined;
}

const NOT_IN_PROFILE = 'the profile says nothing about novamem (neither where it is nor how it is stopped)';

/** Stopped: the driver says so, and nothing answers. A driver that cannot tell leaves it to the second. */
async function isDown(cluster: Cluster, service: ServiceName): Promise<boolean> {
  const state = await cluster.driver(service)?.state();
  if (state === 'running') return false;
  return !(await cluster.answering(service)).answers;
}

/** Stops a service and waits until it is really gone. A stop command that fails is no failure when the service is gone. */
export async function stopService(
  service: ServiceName,
  ctx: StepContext,
  emit: Emitter<unknown>,
  patienceMs: number,
  signal: AbortSignal,
): Promise<void> {
  const title = SERVICE_TITLES[service];
  if (await isDown(ctx.cluster, service)) return emit.output(`${title} does not run`);
  const driver = needed(ctx.cluster.driver(service), service, 'stop');
  let refusal: unknown;
  await driver.stop(ctx.gateway, { onLine: (line) => emit.output(line), signal }).catch((error: unknown) => {
    refusal = error;
  });
  const gone = await waitFor(async () => ((await isDown(ctx.cluster, service)) ? true : undefined), {
    timeoutMs: refusal === undefined ? patienceMs : 2_000,
    signal,
  });
  if (gone) return emit.output(`${title} is stopped`);
  throw (
    refusal ??
    new Error(`${title} still runs ${durationOf(patienceMs)} after it was told to stop: something may start it again`)
  );
}

/** Starts a service and waits until it answers and has finished loading. */
export async function startService(
  service: ServiceName,
  ctx: StepContext,
  emit: Emitter<unknown>,
  patienceMs: number,
  signal: AbortSignal,
): Promise<void> {
  const title = SERVICE_TITLES[service];
  if ((await ctx.cluster.answering(service)).answers) return emit.output(`${title} runs already`);
  const driver = needed(ctx.cluster.driver(service), service, 'start');
  const isReady = async () => (await ctx.cluster.answering(service)).answers;
  const withLastLines = async (error: Error): Promise<Error> => {
    const lines = await driver.lastLines().catch(() => []);
    for (const line of lines) emit.output(`${service}: ${line}`);
    return lines.length > 0 ? new Error(`${error.message}. Its last line: ${lines.at(-1)}`, { cause: error }) : error;
  };
  let started = 0;
  const start = async () => {
    try {
      await driver.start(ctx.gateway, { onLine: (line) => emit.output(line), isReady, signal });
      started = steadyNow();
    } catch (error) {
      throw await withLastLines(error as Error);
    }
  };
  let mayBeEnding = (await driver.state()) === 'running';
  await start();
  const until = started + patienceMs;
  let lastSeen = '';
  let died = false;
  const ready = await waitFor(
    async () => {
      const { answers, seen } = await ctx.cluster.answering(service);
      if (answers) return true;
      if (seen !== lastSeen) emit.output(`${title}: ${seen}`);
      lastSeen = seen;
      emit.progress({
        done: Math.round((patienceMs - (until - steadyNow())) / 1000),
        total: patienceMs / 1000,
        unit: 'seconds',
        text: `waiting for ${title}: ${seen}`,
      });
      if ((await driver.state()) !== 'stopped') return undefined;
      if (mayBeEnding) {
        // It was there still when it was asked to start, on its way out of an earlier stop: nothing was started then.
        mayBeEnding = false;
        emit.output(`${title} was ending: it is started again`);
        await start();
        return undefined;
      }
      died = steadyNow() > started + 3_000;
      return died ? false : undefined;
    },
    { timeoutMs: patienceMs, signal },
  );
  if (ready) return emit.output(`${title} answers`);
  throw await withLastLines(
    new Error(
      died
        ? `${title} was started but ended at once (${lastSeen})`
        : `${title} did not become ready within ${durationOf(patienceMs)}: ${lastSeen}`,
    ),
  );
}

function needed(driver: ServiceDriver | undefined, service: ServiceName, verb: string): ServiceDriver {
  if (driver) return driver;
  throw new Error(`the profile does not say how to ${verb} ${SERVICE_TITLES[service]}: add services.${service}`);
}

/** Nothing can stand in for a store; that novamem must be started by hand is no reason to leave the stores unrestored. */
function mustStartByHand(service: ServiceName, { cluster }: StepContext, answers: boolean): boolean {
  return service === 'novamem' && !answers && !cluster.driver(service);
}

const BY_HAND = 'the profile does not say how to start novamem: start it by hand once the stores are restored';

async function driverFinding(verb: 'stop' | 'start', { service }: Params, ctx: StepContext): Promise<Finding[]> {
  const { cluster } = ctx;
  const title = SERVICE_TITLES[service];
  if (!isKnown(cluster, service))
    return [{ level: 'warning', message: `${NOT_IN_PROFILE}; make sure that nothing writes during the run` }];
  const { answers, seen } = await cluster.answering(service);
  const state = answers
    ? `${title} ${seen === 'answers' ? seen : `answers (${seen})`}`
    : `${title} does not answer (${seen})`;
  if (cluster.driver(service) || answers === (verb === 'start')) return [{ level: 'info', message: state }];
  if (verb === 'stop' && !answers) return [{ level: 'info', message: state }];
  if (mustStartByHand(service, ctx, answers))
    return [{ level: 'warning', message: BY_HAND, next: 'or add services.novamem to the profile' }];
  return [
    {
      level: 'blocking',
      message: `${state}, and the profile does not say how to ${verb} it`,
      next: `${verb} ${title} by hand and retry, or add services.${service} to the profile`,
    },
  ];
}

const notApplicable = ({ service }: Params, ctx: StepContext): Partial<StepPlan> =>
  isKnown(ctx.cluster, service) ? {} : { notApplicable: NOT_IN_PROFILE };

export const serviceStop: StepKind<Params, Facts> = {
  kind: 'service.stop',
  effect: 'write',
  params,
  async plan(p, ctx) {
    const title = SERVICE_TITLES[p.service];
    return readingPlan(`Stop ${title}`, [ctx.cluster.driver(p.service)?.commands.stop ?? `(stop ${title} by hand)`], {
      ...notApplicable(p, ctx),
      wayBack: `start ${title} again`,
      onAbort: `${title} may be stopped already`,
    });
  },
  check: (p, ctx) => driverFinding('stop', p, ctx),
  run: (p, ctx, signal) =>
    stepEvents<Facts>(async (emit) => {
      emit.facts({ wasRunning: !(await isDown(ctx.cluster, p.service)) });
      await stopService(p.service, ctx, emit, p.patienceSeconds * 1000, signal);
    }),
  async verify(p, ctx) {
    return stoppedChecks(p.service, ctx);
  },
  async probe(p, ctx) {
    return (await isDown(ctx.cluster, p.service)) ? 'done' : 'not-started';
  },
  undo: (p, ctx, facts) =>
    stepEvents<Facts>(async (emit) => {
      if (facts.wasRunning)
        await startService(p.service, ctx, emit, p.patienceSeconds * 1000, new AbortController().signal);
    }),
  planUndo: async (p, _ctx, { wasRunning }) => ({
    putsBack: wasRunning ? `${SERVICE_TITLES[p.service]} runs again` : '',
    replaces: [],
  }),
  verifyUndo: async (p, ctx, { wasRunning }) => (wasRunning ? [await answerCheck(p, ctx)] : []),
};

async function answerCheck({ service }: Params, { cluster }: StepContext): Promise<Check> {
  const { answers } = await cluster.answering(service);
  return equal(`service ${service}`, 'answers', 'yes', answers ? 'yes' : 'no');
}

async function stoppedChecks(service: ServiceName, { cluster }: StepContext): Promise<Check[]> {
  const state = (await cluster.driver(service)?.state()) ?? 'unknown';
  const { answers } = await cluster.answering(service);
  return [
    ...(state === 'unknown' ? [] : [equal(`service ${service}`, 'state', 'stopped', state)]),
    equal(`service ${service}`, 'answers', 'no', answers ? 'yes' : 'no'),
  ];
}

export const serviceStart: StepKind<Params, Facts> = {
  kind: 'service.start',
  effect: 'write',
  params,
  async plan(p, ctx) {
    const title = SERVICE_TITLES[p.service];
    const byHand = mustStartByHand(p.service, ctx, (await ctx.cluster.answering(p.service)).answers);
    return readingPlan(
      `Start ${title} and wait until it answers`,
      [ctx.cluster.driver(p.service)?.commands.start ?? `(start ${title} by hand)`],
      {
        ...notApplicable(p, ctx),
        ...(byHand ? { notApplicable: BY_HAND } : {}),
        wayBack: `stop ${title} again`,
        onAbort: `${title} may be starting`,
      },
    );
  },
  check: (p, ctx) => driverFinding('start', p, ctx),
  run: (p, ctx, signal) =>
    stepEvents<Facts>(async (emit) => {
      emit.facts({ wasRunning: (await ctx.cluster.answering(p.service)).answers });
      await startService(p.service, ctx, emit, p.patienceSeconds * 1000, signal);
    }),
  verify: async (p, ctx) => [await answerCheck(p, ctx)],
  async probe(p, ctx) {
    return (await ctx.cluster.answering(p.service)).answers ? 'done' : 'not-started';
  },
  undo: (p, ctx, facts) =>
    stepEvents<Facts>(async (emit) => {
      if (!facts.wasRunning)
        await stopService(p.service, ctx, emit, p.patienceSeconds * 1000, new AbortController().signal);
    }),
  planUndo: async (p, _ctx, { wasRunning }) => ({
    putsBack: wasRunning ? '' : `${SERVICE_TITLES[p.service]} stopped, as before`,
    replaces: [],
  }),
  verifyUndo: async (p, ctx, { wasRunning }) => (wasRunning ? [] : stoppedChecks(p.service, ctx)),
};

export const serviceRestart: StepKind<Params, Facts> = {
  kind: 'service.restart',
  effect: 'write',
  params,
  async plan(p, ctx) {
    const title = SERVICE_TITLES[p.service];
    const commands = ctx.cluster.driver(p.service)?.commands;
    return readingPlan(
      `Restart ${title} and wait until it answers`,
      commands ? [commands.stop, commands.start] : [`(restart ${title} by hand)`],
      {
        ...notApplicable(p, ctx),
        wayBack: 'not needed',
        onAbort: `${title} may be stopped`,
      },
    );
  },
  async check(p, ctx) {
    if (!isKnown(ctx.cluster, p.service) || ctx.cluster.driver(p.service)) return driverFinding('start', p, ctx);
    return [
      {
        level: 'blocking',
        message: `the profile does not say how to restart ${SERVICE_TITLES[p.service]}`,
        next: `add services.${p.service} to the profile`,
      },
    ];
  },
  run: (p, ctx, signal) =>
    stepEvents<Facts>(async (emit) => {
      emit.facts({ wasRunning: !(await isDown(ctx.cluster, p.service)) });
      await stopService(p.service, ctx, emit, p.patienceSeconds * 1000, signal);
      await startService(p.service, ctx, emit, p.patienceSeconds * 1000, signal);
    }),
  verify: serviceStart.verify,
  // Whether it was restarted cannot be seen from outside, and once more does no harm.
  probe: async () => 'unknown',
};
