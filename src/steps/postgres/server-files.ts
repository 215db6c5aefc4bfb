import type { Host } from '../../hosts/host.js';
import type { HostFiles } from '../../hosts/host-files.js';
import { startService, stopService } from '../service.js';
import type { StepContext } from '../step.js';
import type { Emitter } from '../step-events.js';

// Postgres stopped, with its files within reach, and started again without what they were reached through.

export const SERVICE_PATIENCE = 600_000;

export const hostOfPostgres = ({ cluster }: Pick<StepContext, 'cluster'>): Host => cluster.host('postgres');
export const filesOf = (ctx: Pick<StepContext, 'cluster'>): HostFiles => hostOfPostgres(ctx).files;

/** ` on db-1`, and nothing for this machine. */
export const onHost = (ctx: Pick<StepContext, 'cluster'>): string => {
  const { here, title } = hostOfPostgres(ctx);
  return here ? '' : ` on ${title}`;
};

/** Has the files of a server that is stopped already within reach. */
export async function reachFiles(ctx: StepContext, signal: AbortSignal): Promise<void> {
  if (hostOfPostgres(ctx).here || (await ctx.cluster.answering('postgres')).answers) return;
  if ((await ctx.cluster.driver('postgres')?.state()) === 'stopped') await filesOf(ctx).open(ctx.gateway, signal);
}

export async function stopServer(
  ctx: StepContext,
  emit: Emitter<unknown>,
  signal: AbortSignal,
  patienceMs = SERVICE_PATIENCE,
): Promise<void> {
  await stopService('postgres', ctx, emit, patienceMs, signal);
  await filesOf(ctx).open(ctx.gateway, signal);
}

export async function startServer(ctx: StepContext, emit: Emitter<unknown>, signal: AbortSignal): Promise<void> {
  await filesOf(ctx).close(ctx.gateway);
  await startService('postgres', ctx, emit, SERVICE_PATIENCE, signal);
}
