import { z } from 'zod';
import { SERVICE_TITLES, SERVICES, type ServiceName } from '../config/profile.js';
import { nextOf } from '../problem.js';
import { type Check, equal } from '../stores/check.js';
import type { Cluster } from '../stores/cluster.js';
import { messageOf } from '../words.js';
import { drivesAnother, isDown, restartService, startService, stopService } from './service.js';
import { type Finding, readingPlan, type StepContext, type StepKind, type StepPlan } from './step.js';
import { stepEvents } from './step-events.js';

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
  if (cluster.driver(service))
    return [{ level: 'info', message: state }, ...(await supervisorFindings(verb, service, cluster, answers))];
  if (answers === (verb === 'start')) return [{ level: 'info', message: state }];
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

/** What the service's supervisor has to say: whether it lets itself be asked and told, and who might interfere. */
async function supervisorFindings(
  verb: 'stop' | 'start',
  service: ServiceName,
  cluster: Cluster,
  answers: boolean,
): Promise<Finding[]> {
  const driver = cluster.driver(service);
  if (!driver?.look) return [];
  try {
    const look = await driver.look();
    const findings: Finding[] = [{ level: 'info', message: look.seen }, ...((await driver.findings?.()) ?? [])];
    if (answers && look.state === 'stopped')
      findings.push({
        level: 'blocking',
        message: drivesAnother(service, look),
        next: `mend services.${service} or ${service}.url in the profile; what it drives: ${(await driver.commands()).status}`,
      });
    return verb === 'stop' ? findings : findings.filter(({ level }) => level !== 'warning');
  } catch (error) {
    return [{ level: 'blocking', message: messageOf(error), next: nextOf(error) }];
  }
}

const notApplicable = ({ service }: Params, ctx: StepContext): Partial<StepPlan> =>
  isKnown(ctx.cluster, service) ? {} : { notApplicable: NOT_IN_PROFILE };

export const serviceStop: StepKind<Params, Facts> = {
  kind: 'service.stop',
  effect: 'write',
  params,
  async plan(p, ctx) {
    const title = SERVICE_TITLES[p.service];
    return readingPlan(
      `Stop ${title}`,
      [(await ctx.cluster.driver(p.service)?.commands())?.stop ?? `(stop ${title} by hand)`],
      {
        ...notApplicable(p, ctx),
        wayBack: `start ${title} again`,
        onAbort: `${title} may be stopped already`,
      },
    );
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
  verifyUndo: async (p, ctx, { wasRunning }) => (wasRunning ? runningChecks(p, ctx) : []),
};

async function runningChecks({ service }: Params, { cluster }: StepContext): Promise<Check[]> {
  const { answers } = await cluster.answering(service);
  const look = await cluster.driver(service)?.look?.();
  return [
    equal(`service ${service}`, 'answers', 'yes', answers ? 'yes' : 'no'),
    ...(look ? [equal(`service ${service}`, 'ready', 'yes', look.ready ? 'yes' : `no: ${look.seen}`)] : []),
  ];
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
      [(await ctx.cluster.driver(p.service)?.commands())?.start ?? `(start ${title} by hand)`],
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
  verify: runningChecks,
  async probe(p, ctx) {
    return (await runningChecks(p, ctx)).every(({ ok }) => ok) ? 'done' : 'not-started';
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
    const commands = await ctx.cluster.driver(p.service)?.commands();
    return readingPlan(
      `Restart ${title} and wait until it answers`,
      commands
        ? commands.restart
          ? [commands.restart]
          : [commands.stop, commands.start]
        : [`(restart ${title} by hand)`],
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
      await restartService(p.service, ctx, emit, p.patienceSeconds * 1000, signal);
    }),
  verify: serviceStart.verify,
  // Whether it was restarted cannot be seen from outside, and once more does no harm.
  probe: async () => 'unknown',
};
