import { basename, dirname, join } from 'node:path';
import type { Carrying, FileStat, HostFiles, Saying } from '../../hosts/host-files.js';
import { localFiles } from '../../hosts/local-files.js';
import { rdbFault } from '../../stores/falkordb/aof.js';
import {
  ASIDE,
  INCOMING,
  notOnDisk,
  type PersistenceSettings,
  type Placement,
  persistenceFilesIn,
  persistenceOf,
  placementOf,
  placesOf,
} from '../../stores/falkordb/persistence.js';
import { messageOf, sizeOf } from '../../words.js';
import type { StepContext } from '../step.js';
import type { Emitter } from '../step-events.js';
import { makeDataFolder, shutDown, startServer } from './server.js';

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
  /** A folder of the server's host into which files were brought, before anything was stopped. */
  incoming?: string;
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
  const files = filesOf(ctx);
  for (const path of placesOf(settings)) if (await files.exists(path)) await setAside(work, facts, path, !own);
  return { settings, facts };
}

/** Has the server running with nothing in it; everything that it would have loaded is moved aside. */
export async function startEmpty(work: FilesWork): Promise<FilesFacts> {
  const { ctx, emit, patienceMs, signal } = work;
  const { facts } = await clearFolder(work);
  facts.placing = true;
  emit.facts({ ...facts });
  await startServer(ctx, emit, patienceMs, signal);
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
    await startServer(ctx, emit, patienceMs, signal);
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
  const files = filesOf(ctx);
  for (const path of await persistenceFilesIn(dataDir, files)) await setAside(work, facts, path, true);
  facts.emptied = true;
  emit.facts({ ...facts });
  try {
    const settings = await learn();
    return { settings, own: settings.dir === (await files.realPath(dataDir)) };
  } catch (error) {
    await putFilesBack(ctx, emit, facts, patienceMs);
    throw new Error(`${messageOf(error)}. The files are back where they were`, { cause: error });
  }
}

/** A server whose files do not hold what it has in memory is the only one that does. */
async function keepMemory(work: FilesWork, facts: FilesFacts, settings: PersistenceSettings): Promise<void> {
  const { ctx, emit, signal } = work;
  const why = facts.memory === undefined ? await notOnDisk(ctx.cluster.falkordb, settings, filesOf(ctx)) : '';
  if (why === '') return;
  emit.output(`${why}: what it holds in memory is copied first`);
  const file = await freeName(join(ctx.workFolder, 'dump.rdb'), localFiles);
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
  const files = filesOf(ctx);
  const to = await freeName(join(facts.dir, asideName(ctx.runId), basename(from)), files);
  await files.moveAside(ctx.gateway, from, to);
  // Once an attempt has begun to place its own files, or has moved this one before, it is no original.
  if (!original || earlier.placing || facts.aside.some((one) => one.from === from)) return;
  facts.aside.push({ from, to });
  emit.facts({ ...facts });
  emit.safetyCopy(basename(from), to, 'renamed, nothing in it was changed');
}

export const filesOf = ({ cluster }: StepContext): HostFiles => cluster.host('falkordb').files;

/** What of a folder a path lies in: the folder's own entry. */
const topOf = (dir: string, path: string) => join(dir, path.slice(dir.length + 1).split('/')[0]!);

/** What a placement makes, a path each: files, and the append-only directory as one. */
const topsOf = ({ copies, texts }: Placement, dir: string) => [
  ...new Set([...copies, ...texts].map(({ to }) => topOf(dir, to))),
];

/**
 * Brings and writes what a placement says, and gives it to the owner of the folder. Files of this machine are brought to the server's
 * host; `expected` knows their SHA-256, where that is known.
 */
export async function place(
  ctx: StepContext,
  placement: Placement,
  dir: string,
  owner: Pick<FileStat, 'uid' | 'gid'>,
  { expected, ...carrying }: Carrying & { expected?: ReadonlyMap<string, string | undefined> } = {},
): Promise<void> {
  const files = filesOf(ctx);
  for (const { from, to } of placement.copies) {
    if (topOf(dir, to) !== to) await files.makeFolder(ctx.gateway, topOf(dir, to));
    const sha256 = await files.send(ctx.gateway, from, to, carrying);
    const proven = expected?.get(from);
    if (proven !== undefined && sha256 !== proven)
      throw new Error(
        `${to} is not what was proven before: the SHA-256 of the copy is ${sha256}, of ${from} it was ${proven}. Choose another backup set with --backup`,
      );
  }
  for (const { to, text } of placement.texts) await files.writeText(ctx.gateway, to, text);
  for (const path of topsOf(placement, dir)) await files.giveTo(ctx.gateway, path, owner);
}

/** What a person would type to move these into a folder. */
export const movingAside = (files: Saying, paths: readonly string[], folder: string): string[] =>
  paths.length === 0
    ? []
    : [files.said('mkdir', '-p', folder), ...paths.map((path) => files.said('mv', path, `${folder}/`))];

/** What a person would type to place what a placement says. */
export const placing = (files: Saying, placement: Placement | undefined): string[] => [
  ...(placement?.copies ?? []).map(({ from, to }) => files.saidSend(from, to)),
  ...(placement?.texts ?? []).map(({ to, text }) => files.saidText(to, text)),
];

/** The same for what is brought beside its place first. */
export const bringing = (ctx: StepContext, placement: Placement, dir: string): string[] => {
  const beside = besideIts(ctx, placement, dir);
  const folders = new Set([...beside.copies, ...beside.texts].map(({ to }) => dirname(to)));
  const files = filesOf(ctx);
  return [...[...folders].map((folder) => files.said('mkdir', '-p', folder)), ...placing(files, beside)];
};

/** And for putting that into its place. */
export const puttingInPlace = (files: Saying, ctx: StepContext, placement: Placement, dir: string): string[] => {
  const incoming = incomingFor(ctx, dir);
  return [
    ...topsOf(placement, dir).map((top) => files.said('mv', join(incoming, basename(top)), top)),
    files.said('rm', '-rf', incoming),
  ];
};

/** The folder of the server's host into which the files of a run are brought while the server still runs. */
export const incomingFor = (ctx: StepContext, dir: string) => join(dir, `${INCOMING}${ctx.runId}`);

const rebased = ({ copies, texts }: Placement, from: string, to: string): Placement => {
  const at = (path: string) => join(to, path.slice(from.length + 1));
  return {
    copies: copies.map((one) => ({ ...one, to: at(one.to) })),
    texts: texts.map((one) => ({ ...one, to: at(one.to) })),
    aside: [],
  };
};

/** The same placement, beside its place: below the folder into which it is brought. */
export const besideIts = (ctx: StepContext, placement: Placement, dir: string): Placement =>
  rebased(placement, dir, incomingFor(ctx, dir));

/** Brings what a placement says beside its place, where the server does not look. What an earlier attempt has brought is not brought again. */
export async function bring(
  ctx: StepContext,
  placement: Placement,
  dir: string,
  carrying: Parameters<typeof place>[4] = {},
): Promise<void> {
  const files = filesOf(ctx);
  const incoming = incomingFor(ctx, dir);
  const beside = besideIts(ctx, placement, dir);
  const missing: Placement['copies'] = [];
  for (const { from, to } of beside.copies) {
    const { signal } = carrying;
    const more = signal ? { signal } : {};
    if (!(await files.exists(to))) missing.push({ from, to });
    else if ((await files.sha256(to, more)) === (await localFiles.sha256(from, more))) {
      carrying.onBytes?.((await localFiles.stat(from))!.bytes);
    } else {
      await files.remove(ctx.gateway, to);
      missing.push({ from, to });
    }
  }
  const owner = await files.stat(dir);
  if (!owner) throw new Error(`${dir} is not on ${ctx.cluster.host('falkordb').title}`);
  await files.makeFolder(ctx.gateway, incoming);
  await place(ctx, { ...beside, copies: missing }, incoming, owner, carrying);
}

/** Puts what was brought into its place, by its name alone. */
export async function putInPlace(
  ctx: StepContext,
  placement: Placement,
  dir: string,
  incoming: string,
): Promise<void> {
  const files = filesOf(ctx);
  for (const path of topsOf(placement, dir))
    await files.moveAside(ctx.gateway, join(incoming, path.slice(dir.length + 1)), path);
  await files.remove(ctx.gateway, incoming);
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
  const files = filesOf(ctx);
  if ((await ctx.cluster.driver('falkordb')?.state()) === 'stopped') await files.open(ctx.gateway, signal);
  if (facts.incoming !== undefined) {
    await files.remove(ctx.gateway, facts.incoming);
    emit.output(`what was brought into ${facts.incoming} is removed`);
  }
  if (!facts.dir) return emit.output('nothing had been moved');
  if (!(await hasMoved(facts, files))) {
    if (facts.wasRunning ?? true) await startServer(ctx, emit, patienceMs, signal);
    return emit.output('the files of before are in their place: none had to be moved');
  }
  await shutDown(ctx, emit, patienceMs, signal);
  const undone = join(facts.dir, `${asideName(ctx.runId)}-undone`);
  try {
    const originals = facts.aside ?? [];
    const fromMemory = facts.memory !== undefined && facts.settings;
    const ours = facts.placing && facts.settings ? placesOf(facts.settings) : [];
    const found = facts.emptied && (await files.exists(facts.dir)) ? await persistenceFilesIn(facts.dir, files) : [];
    let moved = 0;
    for (const path of new Set([...originals.map((one) => one.from), ...ours, ...found])) {
      const original = originals.find((one) => one.from === path);
      const isBack = original && !fromMemory && !(await files.exists(original.to));
      if (isBack || !(await files.exists(path))) continue;
      await files.moveAside(ctx.gateway, path, await freeName(join(undone, basename(path)), files));
      moved += 1;
    }
    if (facts.memory !== undefined && facts.settings) {
      await makeDataFolder(facts.dir, ctx, emit);
      const placement = await placementOf({ form: 'dump.rdb', path: facts.memory }, facts.settings);
      await place(ctx, placement, facts.dir, (await files.stat(facts.dir))!);
      emit.output('what FalkorDB held in memory is placed again');
    } else {
      for (const { from, to } of originals) if (await files.exists(to)) await files.moveAside(ctx.gateway, to, from);
    }
    emit.output(
      moved > 0
        ? `the files of before are back; what lay in their place is kept in ${undone}`
        : 'the files are as they were before',
    );
  } finally {
    if (facts.wasRunning ?? true) await startServer(ctx, emit, patienceMs, signal);
    else emit.output('FalkorDB did not run before: it is left stopped');
  }
}

/** Whether anything lies elsewhere than before: an original that is aside, or what was placed in its stead. */
async function hasMoved(
  { aside = [], placing, emptied, memory }: Partial<FilesFacts>,
  files: HostFiles,
): Promise<boolean> {
  for (const one of aside) if (await files.exists(one.to)) return true;
  return Boolean(placing || emptied || memory !== undefined);
}

async function freeName(path: string, files: HostFiles): Promise<string> {
  for (let number = 2; await files.exists(path); number += 1) path = path.replace(/(-\d+)?$/, `-${number}`);
  return path;
}
