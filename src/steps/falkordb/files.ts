import { realpath, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { copyTo, exists, giveTo, makeFolder, moveAside, writeText } from '../../hosts/files.js';
import { rdbFault } from '../../stores/falkordb/aof.js';
import {
  ASIDE,
  notOnDisk,
  type PersistenceSettings,
  type Placement,
  persistenceFilesIn,
  persistenceOf,
  placementOf,
  placesOf,
} from '../../stores/falkordb/persistence.js';
import { messageOf, sizeOf } from '../../words.js';
import { startService } from '../service.js';
import type { StepContext } from '../step.js';
import type { Emitter } from '../step-events.js';
import { makeDataFolder, shutDown } from './server.js';

/** What was done to a server's files: enough to put back what was there before. */
export interface FilesFacts {
  dir: string;
  /** What was moved aside, and whereto. */
  aside: { from: string; to: string }[];
  wasRunning: boolean;
  settings?: PersistenceSettings;
  /** An RDB of what the server held in memory, where its files did not hold it. */
  memory?: string;
  /** Everything that a server might load is moved aside, whatever it was called. */
  emptied?: boolean;
  /** Everything that this server would load is moved aside: what lies there from now on is this step's. */
  placing?: boolean;
}

/** What changing the files of a server takes. */
export interface FilesWork {
  ctx: StepContext;
  emit: Emitter<FilesFacts>;
  patienceMs: number;
  signal: AbortSignal;
  /** Looks at the server before anything of it is changed; what it throws leaves everything as it was. */
  accept(settings: PersistenceSettings): Promise<void>;
}

export const asideName = (runId: string) => `${ASIDE}${runId}`;

/**
 * Ends the server with everything that it would load moved aside, never deleted. One that answers is asked where that is. One
 * that does not is not started on its files, which may be damaged, since loading can cut them off or save over them: they are
 * moved aside first, and what it then is started on is nothing.
 */
export async function clearFolder(work: FilesWork): Promise<{ settings: PersistenceSettings; facts: FilesFacts }> {
  const { ctx, emit } = work;
  const earlier = ctx.earlier as Partial<FilesFacts>;
  const { answers } = await ctx.cluster.answering('falkordb');
  const facts: FilesFacts = {
    dir: earlier.dir ?? '',
    aside: [...(earlier.aside ?? [])],
    wasRunning: earlier.wasRunning ?? (answers || (await ctx.cluster.driver('falkordb')?.state()) === 'running'),
    ...(earlier.memory === undefined ? {} : { memory: earlier.memory }),
  };
  const { settings, own } = answers ? await ofRunning(work, facts) : await ofStopped(work, facts);
  facts.dir = settings.dir;
  facts.settings = settings;
  // Before anything is done: from here on an undo has something to do, if only to start the server again.
  emit.facts({ ...facts });
  await shutDown(ctx, emit, work.patienceMs, work.signal);
  await makeDataFolder(settings.dir, ctx, emit);
  for (const path of placesOf(settings)) if (await exists(path)) await setAside(work, facts, path, !own);
  return { settings, facts };
}

/** Has the server running with nothing in it; everything that it would have loaded is moved aside. */
export async function startEmpty(work: FilesWork): Promise<FilesFacts> {
  const { ctx, emit, patienceMs, signal } = work;
  const { facts } = await clearFolder(work);
  facts.placing = true;
  emit.facts({ ...facts });
  await startService('falkordb', ctx, emit, patienceMs, signal);
  const graphs = await ctx.cluster.falkordb.graphs();
  if (graphs.length > 0)
    throw new Error(
      `FalkorDB was started on an empty folder and still has the graph ${graphs.join(', ')}: something else gives it data`,
    );
  emit.output('FalkorDB runs, and holds nothing');
  return facts;
}

/** `own`: what lies there now was made by this step, since it has started the server on nothing. */
interface Learnt {
  settings: PersistenceSettings;
  own: boolean;
}

async function ofRunning(work: FilesWork, facts: FilesFacts): Promise<Learnt> {
  const { ctx, emit } = work;
  const settings = await persistenceOf(ctx.cluster.falkordb);
  await work.accept(settings);
  await keepMemory(work, facts, settings);
  if (settings.dir !== '') return { settings, own: false };
  emit.output('the folder of the running server was removed; it is started anew to say where it belongs');
  facts.dir = ctx.cluster.profile.falkordb.dataDir ?? '';
  facts.settings = { ...settings, dir: facts.dir };
  emit.facts({ ...facts });
  await shutDown(ctx, emit, work.patienceMs, work.signal);
  return ofStopped(work, facts);
}

async function ofStopped(work: FilesWork, facts: FilesFacts): Promise<Learnt> {
  const { ctx, emit, patienceMs, signal } = work;
  const { falkordb, profile } = ctx.cluster;
  const { dataDir } = profile.falkordb;
  const learn = async () => {
    await startService('falkordb', ctx, emit, patienceMs, signal);
    const settings = await persistenceOf(falkordb);
    if (settings.dir === '')
      throw new Error('the server does not say where it keeps its files: set falkordb.dataDir in the profile');
    await work.accept(settings);
    facts.settings = settings;
    return settings;
  };
  if (dataDir === undefined) return { settings: await learn(), own: false };
  facts.dir = dataDir;
  emit.facts({ ...facts });
  // It does not answer, but something may be about to start it.
  await shutDown(ctx, emit, patienceMs, signal);
  await makeDataFolder(dataDir, ctx, emit);
  for (const path of await persistenceFilesIn(dataDir)) await setAside(work, facts, path, true);
  facts.emptied = true;
  emit.facts({ ...facts });
  try {
    const settings = await learn();
    return { settings, own: settings.dir === (await realpath(dataDir)) };
  } catch (error) {
    await putFilesBack(ctx, emit, facts, patienceMs);
    throw new Error(`${messageOf(error)}. The files are back where they were`, { cause: error });
  }
}

/** A server whose files do not hold what it has in memory is the only one that does. */
async function keepMemory(work: FilesWork, facts: FilesFacts, settings: PersistenceSettings): Promise<void> {
  const { ctx, emit, signal } = work;
  const why = facts.memory === undefined ? await notOnDisk(ctx.cluster.falkordb, settings) : '';
  if (why === '') return;
  emit.output(`${why}: what it holds in memory is copied first`);
  const file = await freeName(join(ctx.workFolder, 'dump.rdb'));
  let done = 0;
  const bytes = await ctx.cluster.falkordb
    .saveMemory(ctx.gateway, file, {
      signal,
      onBytes: (more) => {
        done += more;
        emit.progress({ done, unit: 'bytes', text: 'copying what the server holds in memory' });
      },
    })
    .catch((error: unknown) => {
      throw new Error(
        `${why}, and what it holds in memory cannot be copied (${messageOf(error)}). Nothing was changed. If it may be lost, stop FalkorDB by hand and retry`,
        { cause: error },
      );
    });
  const fault = await rdbFault(file);
  if (fault !== '') throw new Error(`the copy of what is in memory is not whole: ${fault}. Nothing was changed`);
  facts.memory = file;
  emit.facts({ ...facts });
  emit.safetyCopy('what FalkorDB held in memory', file, `an RDB file of ${sizeOf(bytes)}, whole to its end`);
}

/** `original`: it was there before this step, so that an undo brings it back. */
async function setAside(work: FilesWork, facts: FilesFacts, from: string, original: boolean): Promise<void> {
  const { ctx, emit } = work;
  const earlier = ctx.earlier as Partial<FilesFacts>;
  const to = await freeName(join(facts.dir, asideName(ctx.runId), basename(from)));
  await moveAside(ctx.gateway, from, to);
  // Once an attempt has begun to place its own files, or has moved this one before, it is no original.
  if (!original || earlier.placing || facts.aside.some((one) => one.from === from)) return;
  facts.aside.push({ from, to });
  emit.facts({ ...facts });
  emit.safetyCopy(basename(from), to, 'renamed, nothing in it was changed');
}

/** Copies and writes what a placement says, and gives it to the owner of the folder. */
export async function place(
  ctx: StepContext,
  { copies, texts }: Placement,
  dir: string,
  owner: { uid: number; gid: number },
  onFile: (file: string, from: string) => Promise<void> = async () => {},
): Promise<void> {
  const tops = new Set<string>();
  const topOf = (path: string) => join(dir, path.slice(dir.length + 1).split('/')[0]!);
  for (const { from, to } of copies) {
    tops.add(topOf(to));
    if (topOf(to) !== to) await makeFolder(ctx.gateway, topOf(to));
    await copyTo(ctx.gateway, from, to);
    await onFile(to, from);
  }
  for (const { to, text } of texts) {
    tops.add(topOf(to));
    await writeText(ctx.gateway, to, text);
  }
  for (const path of tops) await giveTo(ctx.gateway, path, owner);
}

/**
 * Brings back what was there before: the files that were moved aside, or the copy of the memory where the files did not hold
 * it. What lies in their place is moved aside in turn. A server that did not run before is left stopped.
 */
export async function putFilesBack(
  ctx: StepContext,
  emit: Emitter<FilesFacts>,
  facts: Partial<FilesFacts>,
  patienceMs: number,
): Promise<void> {
  const { signal } = new AbortController();
  if (!facts.dir) return emit.output('nothing had been moved');
  if (!(await hasMoved(facts))) {
    if (facts.wasRunning ?? true) await startService('falkordb', ctx, emit, patienceMs, signal);
    return emit.output('the files of before are in their place: none had to be moved');
  }
  await shutDown(ctx, emit, patienceMs, signal);
  const undone = join(facts.dir, `${asideName(ctx.runId)}-undone`);
  try {
    const originals = facts.aside ?? [];
    const fromMemory = facts.memory !== undefined && facts.settings;
    const ours = facts.placing && facts.settings ? placesOf(facts.settings) : [];
    const found = facts.emptied && (await exists(facts.dir)) ? await persistenceFilesIn(facts.dir) : [];
    let moved = 0;
    for (const path of new Set([...originals.map((one) => one.from), ...ours, ...found])) {
      const original = originals.find((one) => one.from === path);
      const isBack = original && !fromMemory && !(await exists(original.to));
      if (isBack || !(await exists(path))) continue;
      await moveAside(ctx.gateway, path, await freeName(join(undone, basename(path))));
      moved += 1;
    }
    if (facts.memory !== undefined && facts.settings) {
      await makeDataFolder(facts.dir, ctx, emit);
      const placement = await placementOf({ form: 'dump.rdb', path: facts.memory }, facts.settings);
      await place(ctx, placement, facts.dir, await stat(facts.dir));
      emit.output('what FalkorDB held in memory is placed again');
    } else {
      for (const { from, to } of originals) if (await exists(to)) await moveAside(ctx.gateway, to, from);
    }
    emit.output(
      moved > 0
        ? `the files of before are back; what lay in their place is kept in ${undone}`
        : 'the files are as they were before',
    );
  } finally {
    if (facts.wasRunning ?? true) await startService('falkordb', ctx, emit, patienceMs, signal);
    else emit.output('FalkorDB did not run before: it is left stopped');
  }
}

/** Whether anything lies elsewhere than before: an original that is aside, or what was placed in its stead. */
async function hasMoved({ aside = [], placing, emptied, memory }: Partial<FilesFacts>): Promise<boolean> {
  for (const one of aside) if (await exists(one.to)) return true;
  return Boolean(placing || emptied || memory !== undefined);
}

async function freeName(path: string): Promise<string> {
  for (let number = 2; await exists(path); number += 1) path = path.replace(/(-\d+)?$/, `-${number}`);
  return path;
}
