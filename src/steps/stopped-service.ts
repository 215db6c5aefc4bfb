import { SERVICE_TITLES, type StoreName } from '../config/profile.js';
import type { Saying } from '../hosts/host-files.js';
import { messageOf } from '../words.js';
import type { StepContext, StepEvent } from './step.js';
import { type Emitter, stepEvents } from './step-events.js';

// Work on the files of a store that is stopped for it: how it is told, and that nothing of it is left behind.

/** What a person would type to stop a store, to do with its files what `between` says, and to start it. */
export async function saidWhileStopped(
  store: StoreName,
  { cluster }: StepContext,
  between: (files: Saying) => readonly string[],
): Promise<string[]> {
  const title = SERVICE_TITLES[store];
  const driven = await cluster.driver(store)?.commands();
  const { whileStopped } = cluster.host(store).files;
  return [
    driven?.stop ?? `(stop ${title} by hand)`,
    ...(await whileStopped.opening()),
    ...between(whileStopped),
    ...whileStopped.closing(),
    driven?.start ?? `(start ${title} by hand)`,
  ];
}

/**
 * The events of work on a store's files. However it ends, nothing is left behind of what they were reached through while it was stopped:
 * that could keep its volume from the server itself.
 */
export const filesEvents = <F>(
  store: StoreName,
  ctx: StepContext,
  work: (emit: Emitter<F>) => Promise<void>,
): AsyncGenerator<StepEvent<F>> =>
  stepEvents<F>(async (emit) => {
    let failure: { error: unknown } | undefined;
    await work(emit).catch((error: unknown) => {
      failure = { error };
    });
    await ctx.cluster
      .host(store)
      .files.close(ctx.gateway)
      .catch((left: unknown) => {
        emit.output(messageOf(left));
        if (!failure) throw left;
        failure.error = new Error(`${messageOf(failure.error)}. ${messageOf(left)}`, { cause: failure.error });
      });
    if (failure) throw failure.error;
  });
