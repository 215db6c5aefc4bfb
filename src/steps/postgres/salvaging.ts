import { mkdtemp, realpath, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { User } from '../../hosts/command.js';
import { copyTree } from '../../hosts/copy-tree.js';
import { exists, freeBytes, giveTo, makeFolder, remove } from '../../hosts/files.js';
import { serversIn } from '../../hosts/process-mark.js';
import { waitFor } from '../../hosts/waiting.js';
import { majorOf, serverProgramsFor } from '../../stores/postgres/control-data.js';
import { DidNotStart, type PrivateServer, startPrivateServer, untie } from '../../stores/postgres/private-server.js';
import { resetWal } from '../../stores/postgres/reset-wal.js';
import type { Installation } from '../../stores/postgres/tools.js';
import { sizeOf } from '../../words.js';
import type { StepContext } from '../step.js';
import type { Emitter } from '../step-events.js';
import { getRows } from './getting-rows.js';
import type { RawCopyFacts } from './raw-copy.js';
import type { SalvageFacts, SalvageParams } from './salvage-facts.js';

// How rows are got out of a copied data directory: the doing of `postgres.salvage`.

/** Whom a server on this data directory must run as: root is refused. */
export async function ownerOf(dataDir: string): Promise<User | undefined> {
  if (process.getuid?.() !== 0) return undefined;
  const { uid, gid } = await stat(dataDir);
  return uid === 0 ? { uid: 65_534, gid: 65_534 } : { uid, gid };
}

/** The folder of the working copy: one that the server's user can reach, with room for it. */
export async function workingFolder(p: SalvageParams, ctx: StepContext, bytes: number): Promise<string> {
  const name = `novamem-runbook-salvage-${ctx.runId}`;
  const dataDir = ctx.cluster.dataDirHere('postgres');
  const candidates = p.folder ? [p.folder] : [await realpath(tmpdir()), ...(dataDir ? [dirname(dataDir)] : [])];
  const free: string[] = [];
  for (const folder of candidates) {
    const room = await freeBytes(folder);
    if (room > 2 * bytes) return join(folder, name);
    free.push(`${sizeOf(room)} in ${folder}`);
  }
  throw new Error(
    `there is no room to work on a second copy: ${sizeOf(2 * bytes)} are needed, there are ${free.join(', ')}`,
  );
}

export async function salvage(
  p: SalvageParams,
  ctx: StepContext,
  emit: Emitter<SalvageFacts>,
  raw: RawCopyFacts,
  signal: AbortSignal,
): Promise<void> {
  const { gateway } = ctx;
  const working = await workingFolder(p, ctx, raw.bytes);
  const earlier = ctx.earlier as Partial<SalvageFacts>;
  for (const left of new Set([working, ...(earlier.working ? [earlier.working] : [])])) await clear(ctx, left, emit);
  emit.facts({ working });
  const major = await majorOf(raw.copy);
  if (major === undefined) {
    const nothing = 'what is left has no PG_VERSION: no server can start on it';
    emit.facts({ nothing });
    return emit.output(nothing);
  }
  const programs = await serverProgramsFor(major);
  const user = await ownerOf(raw.copy);
  const data = join(working, 'data');
  const through = join(working, 'rows');
  await makeFolder(gateway, working, 0o711);
  emit.output(`working on a second copy, ${data}: the first one stays as it is`);
  await copyTree(gateway, raw.copy, data, { onBytes: emit.bytes(raw.bytes, 'making the working copy'), signal });
  await untie(gateway, data);
  await makeFolder(gateway, through);
  for (const folder of [data, through]) if (user) await giveTo(gateway, folder, user);
  const socket = await mkdtemp(join(await realpath(tmpdir()), 'nm-salvage-'));
  let server: PrivateServer | undefined;
  try {
    server = await startOn(p, ctx, emit, { data, socket, programs, ...(user ? { user } : {}) }, signal);
    await getRows(p, ctx, emit, { server, programs, through }, signal);
  } finally {
    await server?.stop();
    await remove(gateway, socket);
    if (p.keep) emit.output(`the working copy is kept, as was asked for: ${working}`);
    else await remove(gateway, working);
  }
}

/** Ends what an earlier attempt that was killed left running on its copy, and removes that. */
async function clear(ctx: StepContext, working: string, emit: Emitter<SalvageFacts>): Promise<void> {
  const left = serversIn(working);
  for (const { pid } of left) {
    emit.output(`process ${pid} of an earlier attempt still runs in ${working}: it is ended`);
    await ctx.gateway.change({ channel: 'process', text: `kill -s QUIT ${pid}` }, async () => {
      try {
        process.kill(pid, 'SIGQUIT');
      } catch {
        // Gone between the look and the signal.
      }
    });
  }
  if (left.length > 0)
    await waitFor(async () => (serversIn(working).length === 0 ? true : undefined), { timeoutMs: 20_000 });
  if (await exists(working)) await remove(ctx.gateway, working);
}

/** Starts the private server; with a new write-ahead log, as the last resort, where it does not start with its own. */
async function startOn(
  p: SalvageParams,
  ctx: StepContext,
  emit: Emitter<SalvageFacts>,
  where: { data: string; socket: string; programs: Installation; user?: User },
  signal: AbortSignal,
): Promise<PrivateServer> {
  const { data, socket, programs, user } = where;
  const onLine = (line: string) => emit.output(`private server: ${line}`);
  const start = (settings: Record<string, string>) =>
    startPrivateServer(ctx.gateway, {
      ...{ dataDir: data, folder: socket, programs, onLine, signal, settings },
      ...(user ? { user } : {}),
      roles: [...new Set([ctx.cluster.postgres.user, 'postgres', 'novamem'])],
    });
  // With its own log first: it knows what had not reached the data files yet.
  try {
    return await start({});
  } catch (error) {
    signal.throwIfAborted();
    if (!(error instanceof DidNotStart) || p.resetWal === 'never') throw error;
    emit.output(`${error.message}`);
    emit.output(
      'the last resort, on the working copy only: pg_resetwal. What had not reached the data files is lost, and a transaction may be there by half',
    );
    await resetWal(ctx.gateway, data, programs, user, (line) => emit.output(`pg_resetwal: ${line}`));
    emit.facts({ walReset: error.message });
  }
  return start({});
}
