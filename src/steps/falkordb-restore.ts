import { stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { z } from 'zod';
import { copyTo, exists, giveTo, makeFolder, moveAside, sha256Of, writeText } from '../hosts/files.js';
import { type BackupFile, type BackupSet, bytesOf } from '../stores/backup-set/backup-set.js';
import { type Check, equal } from '../stores/check.js';
import type { Cluster } from '../stores/cluster.js';
import {
  compareFalkordb,
  type FalkordbInventory,
  inventoryFalkordb,
  moduleVersion,
} from '../stores/falkordb/inventory.js';
import {
  type FalkordbFiles,
  type FalkordbForm,
  filesFaults,
  type PersistenceSettings,
  persistenceOf,
  placementOf,
  placementRefusal,
} from '../stores/falkordb/persistence.js';
import { countOf, plural, sizeOf } from '../words.js';
import { fileFindings, otherClusterFindings } from './backup-file.js';
import { makeDataFolder, settingsOfServer, shutDown } from './falkordb-server.js';
import { startService } from './service.js';
import type { Finding, Probe, StepKind } from './step.js';
import { type Emitter, stepEvents } from './step-events.js';

const params = z.strictObject({
  /** Which form of the data to restore; `auto` takes the best that this server can load. */
  from: z.enum(['auto', 'appendonlydir', 'appendonly.aof', 'dump.rdb']).default('auto'),
  /** Restore files that are cut off, and lose what stands behind the cut. */
  acceptDamaged: z.boolean().default(false),
  patienceSeconds: z.number().int().positive().max(86_400).default(600),
});
type Params = z.infer<typeof params>;

interface Facts {
  dir: string;
  form: FalkordbForm;
  /** What was moved aside, and whereto. */
  aside: { from: string; to: string }[];
  placed: string[];
  /** Everything that was there before is moved aside: what lies there from now on is this step's. */
  placing?: boolean;
  /** What the server had loaded right after. */
  loaded?: FalkordbInventory;
}

type Files = FalkordbFiles & { files: BackupFile[] };

function candidates(p: Params, backup: BackupSet | undefined): Files[] {
  const all = [...(backup?.falkordb ? [backup.falkordb] : []), ...(backup?.otherFalkordb ?? [])];
  return all.filter((one) => p.from === 'auto' || one.form === p.from);
}

/** The first candidate that a server with these settings loads. */
function chooseFor(settings: PersistenceSettings, among: Files[]): Files {
  const found = among.find((one) => placementRefusal(one.form, settings) === '');
  if (found) return found;
  const refusal = among[0] ? placementRefusal(among[0].form, settings) : 'this backup set holds no FalkorDB data';
  throw new Error(`${refusal}. Set "appendonly yes" in the server's configuration, or give a dump.rdb`);
}

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
    const files = settings ? among.find((one) => placementRefusal(one.form, settings) === '') : among[0];
    const bytes = files?.files.reduce((sum, one) => sum + one.bytes, 0) ?? 0;
    const placement = settings && files ? await placementOf(files, settings) : undefined;
    const aside: string[] = [];
    for (const path of placement?.aside ?? []) if (await exists(path)) aside.push(path);
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
        `${cluster.falkordb.clientCommand} SHUTDOWN NOSAVE`,
        ...(aside.length === 0 ? [] : [`mkdir -p '${join(dir, asideName(ctx.runId))}'`]),
        ...aside.map((path) => `mv '${path}' '${join(dir, asideName(ctx.runId))}/'`),
        ...(placement?.copies ?? []).map(({ from, to }) => `cp '${from}' '${to}'`),
        ...(placement?.texts ?? []).map(
          ({ to, text }) => `printf '${text.trimEnd().replaceAll('\n', '\\n')}\\n' > '${to}'`,
        ),
        cluster.driver('falkordb')?.commands.start ?? '(start FalkorDB by hand)',
      ],
      destroys:
        nodes.length === 0
          ? []
          : [
              `${plural(now ? Object.keys(now.graphs).length : 0, 'graph')} at ${cluster.falkordb.address}: ${countOf(sum(nodes))} nodes, ${countOf(sum(edges))} relationships`,
            ],
      wayBack: `the files of now are moved aside into ${join(dir, asideName(ctx.runId))}, never deleted`,
      pointOfNoReturn: 'none: moving the files back undoes it',
      onAbort: 'FalkorDB may be stopped, its files moved aside; undo, or a retry, goes on from there',
      estimateMs: 3_000 + bytes / 100_000,
    };
  },

  async check(p, ctx) {
    const { cluster } = ctx;
    const among = candidates(p, ctx.backup);
    const findings: Finding[] = otherClusterFindings(ctx);
    if (among.length === 0) {
      return [
        {
          level: 'blocking',
          message: `this backup set holds no FalkorDB data${p.from === 'auto' ? '' : ` in the form ${p.from}`}`,
          next: 'choose another set with --backup',
        },
      ];
    }
    const { answers, seen } = await cluster.answering('falkordb');
    if (!cluster.driver('falkordb')) {
      findings.push({
        level: 'blocking',
        message:
          'the profile does not say how to stop and start FalkorDB, and its files can only be replaced while it is stopped',
        next: 'add services.falkordb to the profile',
      });
    }
    const settings = answers ? await persistenceOf(cluster.falkordb) : undefined;
    if (!settings) {
      findings.push({
        level: 'warning',
        message: `FalkorDB does not answer (${seen}); it is started first, to learn where it keeps its files`,
      });
    } else {
      findings.push({
        level: 'info',
        message: `FalkorDB keeps its files in ${settings.dir || '(a folder that is gone)'}, appendonly ${settings.appendonly ? 'yes' : 'no'}`,
      });
      findings.push(...(await serverFindings(cluster, settings, among)));
    }
    const chosen =
      (settings ? among.find((one) => placementRefusal(one.form, settings) === '') : undefined) ?? among[0]!;
    for (const file of chosen.files) findings.push(...(await fileFindings(file, 'file')));
    if (findings.some((finding) => finding.level === 'blocking')) return findings;
    const { faults, unproven } = await filesFaults(chosen);
    for (const message of faults) {
      findings.push({
        level: p.acceptDamaged ? 'warning' : 'blocking',
        message,
        ...(p.acceptDamaged
          ? {}
          : { next: 'choose another backup set, or accept the loss: --set <step>.acceptDamaged=true' }),
      });
    }
    for (const message of unproven) findings.push({ level: 'info', message });
    return findings;
  },

  run: (p, ctx, signal) =>
    stepEvents<Facts>(async (emit) => {
      const { cluster } = ctx;
      const patience = p.patienceSeconds * 1000;
      const settings = await settingsOfServer(ctx, emit, patience, signal);
      if ((await moduleVersion(cluster.falkordb)) === '')
        throw new Error('the server runs without the graph module: it could not load a graph. Nothing was changed');
      await makeDataFolder(settings.dir, ctx, emit);
      const files = chooseFor(settings, candidates(p, ctx.backup));
      await proveFiles(files, emit, signal);
      signal.throwIfAborted();

      const placement = await placementOf(files, settings);
      // What the first attempt moved aside is all that was there before; what lies there now is of that attempt.
      const earlier = ctx.earlier as Partial<Facts>;
      const facts: Facts = {
        dir: settings.dir,
        form: files.form,
        aside: [...(earlier.aside ?? [])],
        placed: [...placement.copies, ...placement.texts].map(({ to }) => to),
      };
      const owner = await stat(settings.dir);
      // Before anything is done: from here on an undo has something to do, if only to start the server again.
      emit.facts(facts);
      await shutDown(ctx, emit, patience, signal);
      for (const from of placement.aside) {
        if (!(await exists(from))) continue;
        const to = await freeName(join(settings.dir, asideName(ctx.runId), basename(from)));
        await moveAside(ctx.gateway, from, to);
        // Once an attempt has begun to place its own files, or has moved this one before, it is no original.
        if (earlier.placing || earlier.aside?.some((one) => one.from === from)) continue;
        facts.aside.push({ from, to });
        emit.facts(facts);
        emit.safetyCopy(basename(from), to, 'renamed, nothing in it was changed');
      }
      emit.facts({ placing: true });
      const onBytes = emit.bytes(
        files.files.reduce((sum, one) => sum + one.bytes, 0),
        `placing ${files.form}`,
      );
      for (const { from, to } of placement.copies) {
        await makeFolder(ctx.gateway, dirname(to));
        await copyTo(ctx.gateway, from, to);
        onBytes(await bytesOf(to));
      }
      for (const { to, text } of placement.texts) {
        await writeText(ctx.gateway, to, text);
      }
      for (const path of facts.placed) {
        if (dirname(path) !== settings.dir) await giveTo(ctx.gateway, dirname(path), owner);
        else await giveTo(ctx.gateway, path, owner);
      }
      await startService('falkordb', ctx, emit, patience, signal);
      const loaded = await inventoryFalkordb(cluster.falkordb);
      emit.facts({ ...facts, loaded });
      const graphs = Object.keys(loaded.graphs);
      emit.output(`FalkorDB has loaded ${plural(graphs.length, 'graph')}: ${graphs.join(', ')}`);
    }),

  async verify(_p, { cluster, backup }, facts) {
    const { falkordb } = cluster;
    const settings = await persistenceOf(falkordb);
    const { aof_last_write_status: aof = 'ok', rdb_last_bgsave_status: rdb = 'ok' } =
      await falkordb.info('persistence');
    const graphs = await falkordb.graphs();
    const checks: Check[] = [
      equal('falkordb', 'folder', facts.dir, settings.dir),
      equal('falkordb', `graph ${falkordb.graph}`, 'present', graphs.includes(falkordb.graph) ? 'present' : 'absent'),
      equal(
        'falkordb',
        'writes to disk',
        'ok',
        aof === 'ok' && rdb === 'ok' ? 'ok' : `append-only file ${aof}, save ${rdb}`,
      ),
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
    stepEvents<Facts>(async (emit) => {
      const { signal } = new AbortController();
      const patience = p.patienceSeconds * 1000;
      if (!facts.dir) return emit.output('nothing had been moved');
      const { dir, placed = [], aside = [] } = facts;
      const kept: Facts['aside'] = [];
      for (const one of aside) if (await exists(one.to)) kept.push(one);
      const replaced = new Set([
        ...(facts.placing ? placed.map((path) => (dirname(path) === dir ? path : dirname(path))) : []),
        ...kept.map(({ from }) => from),
      ]);
      if (replaced.size === 0) {
        await startService('falkordb', ctx, emit, patience, signal);
        return emit.output('the files of before are in their place: none had to be moved');
      }
      await shutDown(ctx, emit, patience, signal);
      const undone = join(dir, `${asideName(ctx.runId)}-undone`);
      try {
        for (const path of replaced)
          if (await exists(path)) await moveAside(ctx.gateway, path, await freeName(join(undone, basename(path))));
        // Should the rest fail, another undo must not take what is back by then for what was placed.
        emit.facts({ placing: false });
        for (const { from, to } of kept) await moveAside(ctx.gateway, to, from);
      } finally {
        await startService('falkordb', ctx, emit, patience, signal);
      }
      emit.output(
        `the files of before are back${(await exists(undone)) ? `; what lay in their place is kept in ${undone}` : ''}`,
      );
    }),
};

const asideName = (runId: string) => `before-${runId}`;

async function freeName(path: string): Promise<string> {
  for (let number = 2; await exists(path); number += 1) path = path.replace(/(-\d+)?$/, `-${number}`);
  return path;
}

async function serverFindings(cluster: Cluster, settings: PersistenceSettings, among: Files[]): Promise<Finding[]> {
  const findings: Finding[] = [];
  if (settings.dir === '' || !(await exists(settings.dir))) {
    findings.push(
      settings.dir === '' || (await exists(dirname(settings.dir)))
        ? {
            level: 'warning',
            message: `the folder ${settings.dir || 'of the running server'} is gone; it is made again`,
          }
        : {
            level: 'blocking',
            message: `the folder ${settings.dir}, which the server names, is not on this machine`,
            next: 'run this program where that folder is',
          },
    );
  }
  if ((await moduleVersion(cluster.falkordb)) === '') {
    findings.push({
      level: 'blocking',
      message: 'this server runs without the graph module: it could not load a graph',
      next: 'start it with the FalkorDB module',
    });
  }
  if (!among.some((one) => placementRefusal(one.form, settings) === '')) {
    findings.push({
      level: 'blocking',
      message: placementRefusal(among[0]!.form, settings),
      next: 'set "appendonly yes" in its configuration, or give a dump.rdb',
    });
  }
  return findings;
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
  emit.output(
    `${files.path}: ${plural(files.files.length, 'file')}, ${sizeOf(files.files.reduce((sum, one) => sum + one.bytes, 0))}`,
  );
}
