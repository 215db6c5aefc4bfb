import { SERVICE_TITLES, type ServiceName } from '../config/profile.js';
import type { ServiceDriver, ServiceLook, ServiceState } from '../hosts/services/driver.js';
import { steadyNow, waitFor } from '../hosts/waiting.js';
import { Problem } from '../problem.js';
import type { Cluster } from '../stores/cluster.js';
import { durationOf } from '../words.js';
import type { StepContext } from './step.js';
import type { Emitter } from './step-events.js';

/** A supervisor that starts a service again does so soon: for so long a service must stay down to be stopped. */
const STEADY_MS = 2_000;
/** How often a supervisor is asked at most: each time is a program that runs, maybe on another machine. */
const SLOWEST_LOOK = 2_000;

/** A service as its driver and the service itself tell. `look` is absent where the driver has no supervisor to ask. */
interface Seen {
  state: ServiceState;
  answers: boolean;
  ready: boolean;
  seen: string;
  look?: ServiceLook;
}

async function seenNow(cluster: Cluster, service: ServiceName): Promise<Seen> {
  const driver = cluster.driver(service);
  const look = await driver?.look?.();
  const { answers, seen } = await cluster.answering(service);
  return {
    state: look?.state ?? (await driver?.state()) ?? 'unknown',
    answers,
    ready: answers && (look?.ready ?? true),
    seen: look && !(answers && look.ready) ? `${look.seen}; ${answers ? 'it answers' : seen}` : seen,
    ...(look ? { look } : {}),
  };
}

/** Stopped: the driver says so, and nothing answers. A driver that cannot tell leaves it to the second. */
export async function isDown(cluster: Cluster, service: ServiceName): Promise<boolean> {
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
  if (await asked(isDown(ctx.cluster, service))) return emit.output(`${title} does not run`);
  const driver = needed(ctx.cluster.driver(service), service, 'stop');
  let refusal: unknown;
  await driver.stop(ctx.gateway, { onLine: (line) => emit.output(line), signal }).catch((error: unknown) => {
    refusal = error;
  });
  let last: Seen | undefined;
  let downSince = 0;
  const gone = await waitFor(
    async () => {
      last = await unlessUnasked(() => seenNow(ctx.cluster, service), emit);
      if (!last) return undefined;
      if (last.state === 'running' || last.answers) {
        if (downSince > 0 && last.look?.state === 'running') throw new Error(revived(title, last.look));
        return undefined;
      }
      downSince ||= steadyNow();
      return !driver.look || steadyNow() - downSince >= STEADY_MS ? true : undefined;
    },
    {
      timeoutMs: refusal === undefined ? patienceMs : driver.look ? STEADY_MS * 2 : 2_000,
      slowest: driver.look ? SLOWEST_LOOK : 500,
      signal,
    },
  );
  if (gone) return emit.output(`${title} is stopped`);
  if (driver.look) await tellLastLines(service, driver, emit);
  if (refusal !== undefined) throw withNext(refusal);
  throw new Error(
    last?.look
      ? last.look.state === 'stopped'
        ? `${title} is stopped (${last.look.seen}), and yet it answers: services.${service} of the profile drives another one than its URL leads to`
        : `${title} still runs ${durationOf(patienceMs)} after it was told to stop: ${last.look.seen}${revivers(last.look)}`
      : `${title} still runs ${durationOf(patienceMs)} after it was told to stop: something may start it again`,
  );
}

/** Starts a service and waits until it answers and has finished loading, and its supervisor calls it ready. */
export async function startService(
  service: ServiceName,
  ctx: StepContext,
  emit: Emitter<unknown>,
  patienceMs: number,
  signal: AbortSignal,
): Promise<void> {
  const title = SERVICE_TITLES[service];
  const { answers, ready, state, look, seen } = await asked(answeringFirst(ctx.cluster, service));
  if (ready) return emit.output(`${title} runs already`);
  if (answers && look && state === 'stopped') throw new Error(drivesAnother(service, look));
  const driver = needed(ctx.cluster.driver(service), service, 'start');
  const starting = new Starting(service, driver, ctx, emit, patienceMs, signal);
  if (answers) emit.output(`${title} answers, but is not ready: ${seen}`);
  else await starting.begin('start');
  await starting.untilReady({ mayBeEnding: state === 'running' && !answers });
}

/** Restarts a service, by its supervisor's own restart where there is one, and waits until another one of it is ready. */
export async function restartService(
  service: ServiceName,
  ctx: StepContext,
  emit: Emitter<unknown>,
  patienceMs: number,
  signal: AbortSignal,
): Promise<void> {
  const driver = needed(ctx.cluster.driver(service), service, 'restart');
  const look = await asked(Promise.resolve(driver.look?.()));
  if (!driver.restart || look?.state !== 'running') {
    await stopService(service, ctx, emit, patienceMs, signal);
    return startService(service, ctx, emit, patienceMs, signal);
  }
  const starting = new Starting(service, driver, ctx, emit, patienceMs, signal);
  await starting.begin('restart');
  await starting.untilReady({ insteadOf: look.instances });
}

/** That a service answers is mostly enough to know: only a supervisor is asked for more. */
async function answeringFirst(cluster: Cluster, service: ServiceName): Promise<Seen> {
  const driver = cluster.driver(service);
  const { answers, seen } = await cluster.answering(service);
  if (answers && !driver?.look) return { state: 'running', answers, ready: true, seen };
  return driver ? seenNow(cluster, service) : { state: 'unknown', answers, ready: answers, seen };
}

/** A service that is told to start, and what is seen of it from then on. */
class Starting {
  readonly #title: string;
  #at = steadyNow();

  constructor(
    readonly service: ServiceName,
    readonly driver: ServiceDriver,
    readonly ctx: StepContext,
    readonly emit: Emitter<unknown>,
    readonly patienceMs: number,
    readonly signal: AbortSignal,
  ) {
    this.#title = SERVICE_TITLES[service];
  }

  async begin(verb: 'start' | 'restart'): Promise<void> {
    const { driver, ctx, emit, signal, service } = this;
    const isReady = async () => (await ctx.cluster.answering(service)).answers;
    try {
      await driver[verb]!(ctx.gateway, { onLine: (line) => emit.output(line), isReady, signal });
      this.#at = steadyNow();
    } catch (error) {
      throw await this.#withLastLines(withNext(error));
    }
  }

  /** `mayBeEnding`: it was still there when it was asked to start. `insteadOf`: what of it must be gone. */
  async untilReady({ mayBeEnding = false, insteadOf = [] as string[] }): Promise<void> {
    const { ctx, emit, patienceMs, service, signal } = this;
    const title = this.#title;
    let ending = mayBeEnding;
    let lastSeen = '';
    let died = false;
    const ready = await waitFor(
      async () => {
        const now = await unlessUnasked(() => seenNow(ctx.cluster, service), emit);
        if (!now) return undefined;
        const { seen, state, look } = now;
        const isOld = look?.instances.some((one) => insteadOf.includes(one)) ?? false;
        if (now.ready && !isOld) return true;
        if (seen !== lastSeen) emit.output(`${title}: ${seen}`);
        lastSeen = seen;
        emit.progress({
          done: Math.round((steadyNow() - this.#at) / 1000),
          total: patienceMs / 1000,
          unit: 'seconds',
          text: `waiting for ${title}: ${seen}`,
        });
        if (state !== 'stopped') return undefined;
        if (ending) {
          // It was there still when it was asked to start, on its way out of an earlier stop: nothing was started then.
          ending = false;
          emit.output(`${title} was ending: it is started again`);
          await this.begin('start');
          return undefined;
        }
        died = steadyNow() > this.#at + 3_000;
        return died ? false : undefined;
      },
      { timeoutMs: patienceMs, slowest: this.driver.look ? SLOWEST_LOOK : 500, signal },
    );
    if (ready) return emit.output(`${title} answers`);
    throw await this.#withLastLines(
      new Error(
        died
          ? `${title} was started but ended at once (${lastSeen})`
          : `${title} did not become ready within ${durationOf(patienceMs)}: ${lastSeen}`,
      ),
    );
  }

  async #withLastLines(error: Error): Promise<Error> {
    const lines = await tellLastLines(this.service, this.driver, this.emit);
    return lines.length > 0 ? new Error(`${error.message}. Its last line: ${lines.at(-1)}`, { cause: error }) : error;
  }
}

async function tellLastLines(service: ServiceName, driver: ServiceDriver, emit: Emitter<unknown>): Promise<string[]> {
  const lines = await driver.lastLines().catch(() => []);
  for (const line of lines) emit.output(`${service}: ${line}`);
  return lines;
}

/** A supervisor that cannot be asked for a moment is asked again: what it says then counts. */
async function unlessUnasked<T>(ask: () => Promise<T>, emit: Emitter<unknown>): Promise<T | undefined> {
  try {
    return await ask();
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    emit.output(error.message);
    return undefined;
  }
}

/** What it says to do next is a part of why a step fails. */
const asked = <T>(asking: Promise<T>): Promise<T> =>
  asking.catch((error: unknown) => Promise.reject(withNext(error)));

function withNext(error: unknown): Error {
  if (error instanceof Problem) return new Error(`${error.message}. Next: ${error.next}`, { cause: error });
  return error as Error;
}

/** What answers is none that the profile's driver knows of. */
export const drivesAnother = (service: ServiceName, { seen }: ServiceLook): string =>
  `${SERVICE_TITLES[service]} answers, but not the one that services.${service} of the profile drives: ${seen}`;

const revived = (title: string, look: ServiceLook): string =>
  `${title} was stopped, and something has started it again: ${look.seen}${revivers(look)}`;

const revivers = (look: ServiceLook): string =>
  look.revivers.map(({ message, next }) => `. ${message}. Next: ${next}`).join('');

function needed(driver: ServiceDriver | undefined, service: ServiceName, verb: string): ServiceDriver {
  if (driver) return driver;
  throw new Error(`the profile does not say how to ${verb} ${SERVICE_TITLES[service]}: add services.${service}`);
}
