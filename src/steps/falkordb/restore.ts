import { dirname, isAbsolute, join, relative } from 'node:path';
import { z } from 'zod';
import { seenIn } from '../../hosts/elsewhere/seen-in.js';
import { sha256Of } from '../../hosts/files.js';
import type { Host } from '../../hosts/host.js';
import type { BackupFile, BackupSet } from '../../stores/backup-set/backup-set.js';
import { type Check, equal } from '../../stores/check.js';
import type { Cluster } from '../../stores/cluster.js';
import { contentOf, contentText } from '../../stores/falkordb/graph-content.js';
import { untilBuilt } from '../../stores/falkordb/indexes.js';
import { compareFalkordb, type FalkordbInventory, inventoryFalkordb } from '../../stores/falkordb/inventory.js';
import {
  ASIDE,
  type FalkordbFiles,
  type FalkordbForm,
  filesFaults,
  holdNothing,
  type PersistenceSettings,
  persistenceOf,
  placementOf,
  placementRefusal,
  placesOf,
} from '../../stores/falkordb/persistence.js';
import { countOf, messageOf, plural, sizeOf } from '../../words.js';
import { bringHere, bringingFindings, bringingTexts, placeHere } from '../backup/brought-here.js';
import { fileFindings, lacks } from '../backup/file.js';
import type { Finding, Probe, StepContext, StepKind } from '../step.js';
import type { Emitter } from '../step-events.js';
import { filesEvents, saidWhileStopped } from '../stopped-service.js';
import { uncountedIn } from '../store-readiness.js';
import {
  asideName,
  bring,
  bringing,
  clearFolder,
  type FilesFacts,
  incomingFor,
  movingAside,
  place,
  placing,
  putFilesBack,
  putInPlace,
  puttingInPlace,
} from './files.js';
import { loadingFindings, refuseBlocked, serverFindings, serverStateFindings } from './findings.js';
import { proveWritable, savingCheck, startServer } from './server.js';
import { filesUndoChecks, planFilesUndo } from './undo-plan.js';

const params = z.strictObject({
  /** Which form of the data to restore; `auto` takes the best that this server can load. */
  from: z.enum(['auto', 'appendonlydir', 'appendonly.aof', 'dump.rdb']).default('auto'),
  /** Restore files that are cut off, and lose what stands behind the cut. */
  acceptDamaged: z.boolean().default(false),
  patienceSeconds: z.number().int().positive().max(86_400).default(600),
});
type Params = z.infer<typeof params>;

interface Facts extends FilesFacts {
  form: FalkordbForm;
  placed: string[];
  /** What the server had loaded right after. */
  loaded?: FalkordbInventory;
}

type Files = FalkordbFiles & { files: BackupFile[] };

const bytesIn = ({ files }: Files) => files.reduce((sum, one) => sum + one.bytes, 0);

/** What was brought, as the server will find it in its place. */
const filesBrought = (incoming: string, settings: PersistenceSettings): FalkordbFiles =>
  settings.appendonly
    ? { form: 'appendonlydir', path: join(incoming, settings.appenddirname) }
    : { form: 'dump.rdb', path: join(incoming, settings.dbfilename) };

function candidates(p: Params, backup: BackupSet | undefined): Files[] {
  const all = [...(backup?.falkordb ? [backup.falkordb] : []), ...(backup?.otherFalkordb ?? [])];
  return all.filter((one) => p.from === 'auto' || one.form === p.from);
}

const backupIsElsewhere = ({ backup }: StepContext) => backup?.storage?.isHere === false;

/** The same files where they were brought to. */
const asBrought = (files: Files, ctx: StepContext, brought: readonly BackupFile[]): Files => ({
  ...files,
  path: placeHere(ctx, files.path),
  files: files.files.flatMap(({ file }) => brought.find((one) => one.file === placeHere(ctx, file)) ?? []),
});

/** The first candidate that a server with these settings loads; undefined when there is none. */
const loadable = (settings: PersistenceSettings, among: Files[]) =>
  among.find((one) => placementRefusal(one.form, settings) === '');

async function settingsNow(cluster: Cluster): Promise<PersistenceSettings | undefined> {
  return (await cluster.answering('falkordb')).answers ? persistenceOf(cluster.falkordb) : undefined;
}

export const falkordbRestore: StepKind<Params, Facts> = {
  kind: 'falkordb.restore',
  effect: 'destroy',
  backupSet: 'reads',
  params,

  async plan(p, ctx) {
    const { cluster } = ctx;
    const settings = await settingsNow(cluster);
    const among = candidates(p, ctx.backup);
    const files = settings ? loadable(settings, among) : among[0];
    const bytes = files ? bytesIn(files) : 0;
    // How they are placed is read from the files themselves: of those that lie in a bucket it is seen once they are here.
    const isHere = !backupIsElsewhere(ctx);
    const placement = settings && files && isHere ? await placementOf(files, settings) : undefined;
    const aside: string[] = [];
    const { files: there, here } = cluster.host('falkordb');
    for (const path of settings && files ? placesOf(settings) : []) if (await there.exists(path)) aside.push(path);
    const now = settings ? await inventoryFalkordb(cluster.falkordb).catch(() => undefined) : undefined;
    const nodes = Object.values(now?.graphs ?? {}).flatMap((graph) =>
      Object.values(graph.nodes).map((one) => one.count),
    );
    const edges = Object.values(now?.graphs ?? {}).flatMap((graph) =>
      Object.values(graph.relationships).map((one) => one.count),
    );
    const sum = (counts: number[]) => counts.reduce((a, b) => a + b, 0);
    const dir =
      settings?.dir || cluster.profile.falkordb.dataDir || '(the folder that the server names once it is started)';
    return {
      summary: `Restore FalkorDB from ${files?.form ?? 'nothing'} (${sizeOf(bytes)}) into ${dir}`,
      commands: [
        ...bringingTexts(ctx, files?.files ?? []),
        ...(here || !placement || dir === '' ? [] : bringing(ctx, placement, dir)),
        `${cluster.falkordb.clientCommand} SHUTDOWN NOSAVE`,
        ...(await saidWhileStopped('falkordb', ctx, (stopped) => [
          ...movingAside(stopped, aside, join(dir, asideName(ctx.runId))),
          ...(here || !placement ? placing(stopped, placement) : puttingInPlace(stopped, ctx, placement, dir)),
          ...(isHere || !files ? [] : [stopped.saidSend(placeHere(ctx, files.path), `${dir}/`)]),
        ])),
      ],
      destroys:
        nodes.length === 0
          ? []
          : [
              `${plural(now ? Object.keys(now.graphs).length : 0, 'graph')} at ${cluster.falkordb.address}: ${countOf(sum(nodes))} nodes, ${countOf(sum(edges))} relationships`,
            ],
      ...(await uncountedIn('falkordb', ctx)),
      wayBack: `the files of now are moved aside into ${join(dir, asideName(ctx.runId))}, never deleted`,
      pointOfNoReturn: 'none: moving the files back undoes it',
      onAbort: 'FalkorDB may be stopped, its files moved aside; undo, or a retry, goes on from there',
      estimateMs: 3_000 + bytes / 100_000,
      work: { amount: bytes, unit: 'bytes' },
    };
  },

  async check(p, ctx) {
    const { cluster } = ctx;
    const among = candidates(p, ctx.backup);
    const findings: Finding[] = [];
    if (among.length === 0) {
      return [lacks(ctx.backup, `FalkorDB data${p.from === 'auto' ? '' : ` in the form ${p.from}`}`)];
    }
    findings.push(...contentFindings(ctx), ...(await serverStateFindings(ctx)));
    const settings = await settingsNow(cluster);
    const chosen = (settings ? loadable(settings, among) : undefined) ?? among[0]!;
    for (const file of chosen.files) findings.push(...(await fileFindings(file, 'file')));
    const dir = settings?.dir || cluster.profile.falkordb.dataDir;
    const host = cluster.host('falkordb');
    if (findings.some((finding) => finding.level === 'blocking')) return findings;
    if (host.here) findings.push(...inItsOwnFolder(chosen, dir));
    findings.push(
      ...(await roomFindings(host, chosen, dir)),
      ...(await bringingFindings(ctx, chosen.files, chosen.form)),
    );
    if (findings.some((finding) => finding.level === 'blocking') || backupIsElsewhere(ctx)) return findings;
    const wrong = await damageFindings(p, ctx, chosen);
    findings.push(...wrong);
    if (settings && !wrong.some((finding) => finding.level !== 'info'))
      findings.push(...(await loadingFindings(cluster, settings, chosen)));
    return findings;
  },

  run: (p, ctx, signal) =>
    filesEvents<Facts>('falkordb', ctx, async (emit) => {
      const { cluster } = ctx;
      const patienceMs = p.patienceSeconds * 1000;
      const wanted = candidates(p, ctx.backup);
      const running = await settingsNow(cluster);
      const chosen = running ? loadable(running, wanted) : undefined;
      const needed = chosen ? [chosen] : wanted;
      await using here = await bringHere(
        ctx,
        needed.flatMap((one) => one.files),
        emit,
        signal,
      );
      const among = needed.map((one) => asBrought(one, ctx, here.files));
      if (backupIsElsewhere(ctx)) for (const files of among) refuseBlocked(await damageFindings(p, ctx, files));
      const likely = running ? loadable(running, among) : undefined;
      for (const files of likely ? [likely] : among) await proveFiles(files, emit, signal);
      signal.throwIfAborted();

      const host = cluster.host('falkordb');
      const carrying = (files: Files, text: string) => ({
        onBytes: emit.bytes(bytesIn(files), text),
        expected: new Map(files.files.map(({ file, sha256 }) => [file, sha256])),
        signal,
      });
      let incoming: string | undefined;
      const accept = async (settings: PersistenceSettings) => {
        const files = loadable(settings, among) ?? among[0];
        if (!files) throw new Error(lacks(ctx.backup, 'FalkorDB data').message);
        const damaged = p.acceptDamaged && (await filesFaults(files)).faults.length > 0;
        refuseBlocked(await serverFindings(cluster, settings, { files: true }));
        if (!host.here && settings.dir !== '' && placementRefusal(files.form, settings) === '') {
          incoming = incomingFor(ctx, settings.dir);
          emit.facts({ incoming });
          // Over a network it takes its time and may be cut off: the server runs meanwhile.
          const onTheWay = carrying(files, `bringing ${files.form} to ${host.title}`);
          await bring(ctx, await placementOf(files, settings), settings.dir, onTheWay);
          emit.output(`${files.form} lies in ${incoming} on ${host.title}; its SHA-256 is the same as here`);
        }
        const brought = incoming === undefined ? undefined : filesBrought(incoming, settings);
        refuseBlocked(damaged ? [] : await loadingFindings(cluster, settings, files, brought));
      };
      const { settings, facts: cleared } = await clearFolder({ ctx, emit, patienceMs, signal, accept });
      const files = loadable(settings, among)!;
      const placement = await placementOf(files, settings);
      const placed = [...placement.copies, ...placement.texts].map(({ to }) => to);
      const facts: Facts = { ...cleared, form: files.form, placed, placing: true };
      emit.facts(facts);
      const owner = (await host.files.stat(settings.dir))!;
      await (incoming === undefined
        ? place(ctx, placement, settings.dir, owner, carrying(files, `placing ${files.form}`))
        : putInPlace(ctx, placement, settings.dir, incoming)
      ).catch((error: unknown) => {
        signal.throwIfAborted();
        throw new Error(
          `${messageOf(error)}. FalkorDB is left stopped, with its files of before in ${join(settings.dir, asideName(ctx.runId))}: an undo puts them back`,
          { cause: error },
        );
      });
      await startServer(ctx, emit, patienceMs, signal);
      // A large graph is there before its indexes are.
      await untilBuilt(cluster.falkordb, patienceMs, signal);
      const loaded = await inventoryFalkordb(cluster.falkordb);
      emit.facts({ ...facts, loaded });
      const graphs = Object.keys(loaded.graphs);
      emit.output(`FalkorDB has loaded ${plural(graphs.length, 'graph')}: ${graphs.join(', ')}`);
      await proveWritable(ctx, emit, settings, patienceMs, signal);
    }),

  async verify(_p, { cluster, backup }, facts) {
    const { falkordb } = cluster;
    const settings = await persistenceOf(falkordb);
    const graphs = await falkordb.graphs();
    const checks: Check[] = [
      equal('falkordb', 'folder', facts.dir, settings.dir),
      equal('falkordb', `graph ${falkordb.graph}`, 'present', graphs.includes(falkordb.graph) ? 'present' : 'absent'),
      await savingCheck(cluster),
    ];
    const expected = backup?.inventory?.falkordb;
    const actual = await inventoryFalkordb(falkordb);
    if (expected) return [...checks, ...compareFalkordb(expected, actual, backup?.moving?.falkordb)];
    const nodes = Object.values(actual.graphs[falkordb.graph]?.nodes ?? {}).reduce((sum, one) => sum + one.count, 0);
    return [
      ...checks,
      {
        subject: `falkordb graph ${falkordb.graph}`,
        what: 'nodes',
        expected: 'more than 0',
        actual: String(nodes),
        ok: nodes > 0,
      },
    ];
  },

  async probe(_p, ctx, facts): Promise<Probe> {
    if (!facts.dir) return 'not-started';
    if (!facts.loaded) return 'partial';
    const { answers } = await ctx.cluster.answering('falkordb');
    if (!answers) return 'partial';
    return (await falkordbRestore.verify(_p, ctx, facts as Facts)).every((check) => check.ok) ? 'done' : 'partial';
  },

  undo: (p, ctx, facts) =>
    filesEvents<Facts>('falkordb', ctx, (emit) => putFilesBack(ctx, emit, facts, p.patienceSeconds * 1000)),
  planUndo: (_p, ctx, facts, since) => planFilesUndo(ctx, facts, since),
  verifyUndo: (_p, ctx, facts) => filesUndoChecks(ctx, facts),
};

/** What is placed lies beside what is moved aside, which stays. */
async function roomFindings({ files: there }: Host, files: Files, dir: string | undefined): Promise<Finding[]> {
  const { form } = files;
  const needed = bytesIn(files);
  const free = await seenIn(async () => {
    const isThere = dir !== undefined && ((await there.exists(dir)) || (await there.exists(dirname(dir))));
    return isThere ? there.freeBytes(dir) : undefined;
  });
  if (free === undefined || free > needed) return [];
  return [
    {
      level: 'blocking',
      message: `${sizeOf(free)} are free in ${dir}, and ${form} takes ${sizeOf(needed)} beside the files of now, which stay: FalkorDB would be stopped and could not be filled`,
      next: `free ${sizeOf(needed - free)} there`,
    },
  ];
}

/** Files that lie where the server looks for its own would be moved aside before they are placed. */
function inItsOwnFolder({ path }: Files, dir: string | undefined): Finding[] {
  const below = dir ? relative(dir, path) : '..';
  if (below.startsWith('..') || isAbsolute(below) || below.startsWith(ASIDE)) return [];
  return [
    {
      level: 'blocking',
      message: `${path} lies in the server's own folder, which is emptied before anything is placed`,
      next: `cp -r '${path}' to a folder elsewhere, and name that with --backup`,
    },
  ];
}

/** What a look at the backup's own files finds. */
async function damageFindings(p: Params, { backup }: StepContext, files: Files): Promise<Finding[]> {
  const { faults, unproven } = await filesFaults(files);
  const inventory = backup?.inventory?.falkordb;
  const meantEmpty = inventory !== undefined && Object.keys(inventory.graphs).length === 0;
  if (faults.length === 0 && !meantEmpty && (await holdNothing(files)))
    faults.push(`${files.path} holds no key at all: a server would start empty`);
  const next = 'choose another backup set, or accept the loss: --set <step>.acceptDamaged=true';
  return [
    ...faults.map(
      (message): Finding => (p.acceptDamaged ? { level: 'warning', message } : { level: 'blocking', message, next }),
    ),
    ...unproven.map((message): Finding => ({ level: 'info', message })),
  ];
}

/** What the backup set holds. */
function contentFindings({ backup, cluster }: StepContext): Finding[] {
  const inventory = backup?.inventory?.falkordb;
  const content = contentOf(inventory, cluster.falkordb.graph);
  if (content) return [{ level: 'info', message: `the backup's graph: ${contentText(content)}` }];
  if (!inventory)
    return [{ level: 'info', message: 'this backup set has no inventory: how much its graph holds is not known' }];
  return [
    {
      level: 'warning',
      message: `this backup set has no graph ${cluster.falkordb.graph}; its graphs: ${Object.keys(inventory.graphs).join(', ') || 'none'}`,
    },
  ];
}

async function proveFiles(files: Files, emit: Emitter<Facts>, signal: AbortSignal): Promise<void> {
  for (const file of files.files) {
    if (file.sha256 === undefined) continue;
    const sha256 = await sha256Of(file.file, { signal });
    if (sha256 !== file.sha256)
      throw new Error(
        `${file.file} is not the one that was backed up: its SHA-256 is ${sha256}, the manifest says ${file.sha256}. Nothing was changed`,
      );
  }
  emit.output(`${files.path}: ${plural(files.files.length, 'file')}, ${sizeOf(bytesIn(files))}`);
}
