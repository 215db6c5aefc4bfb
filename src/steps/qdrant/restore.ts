import { basename } from 'node:path';
import { z } from 'zod';
import { keepMemoryFlat } from '../../hosts/flat-memory.js';
import { inParallel } from '../../in-parallel.js';
import type { BackupSet } from '../../stores/backup-set/backup-set.js';
import { type Check, equal } from '../../stores/check.js';
import { compareCollection, inventoryCollection, listCollections } from '../../stores/qdrant/inventory.js';
import { countOf, durationOf, plural, sizeOf } from '../../words.js';
import { fileFindings, lacks } from '../backup/file.js';
import { safetyRoomFindings } from '../room.js';
import type { Finding, Probe, StepContext, StepKind } from '../step.js';
import { stepEvents } from '../step-events.js';
import { uncountedIn, unreachable } from '../store-readiness.js';
import { givingText } from './beside.js';
import { aliasChecks } from './collections.js';
import { evidenceOf, takeGathered } from './evidence.js';
import { putBack } from './giving.js';
import { targetsOf, wholeFindings } from './nodes.js';
import { ageFindings, configFindings, nameFindings, roomFindings, versionFindings } from './restore-findings.js';
import { collectionsIn, type Facts, restoreSnapshots, roughMs } from './restoring.js';
import { nodesFindings, rightsFindings } from './server-findings.js';
import { pointsNow, type Snapshot } from './snapshots.js';

const params = z.strictObject({
  /** Only these collections of the backup set; all of them when absent. */
  collections: z.array(z.string()).optional(),
  /** The collection of a snapshot whose name does not tell it (`snap.tgz`). */
  collection: z.string().optional(),
  /** The most at a time; how many it is follows what the server gets done. */
  atOnce: z.number().int().positive().max(32).default(8),
  /** Upload each, also where the server runs on this machine and could read the files itself. */
  upload: z.boolean().default(false),
});
type Params = z.infer<typeof params>;

function snapshotsOf(p: Params, backup: BackupSet | undefined): Snapshot[] {
  const named = backup?.qdrant ?? [];
  const given =
    p.collection !== undefined && backup?.unnamed.length === 1
      ? [{ ...backup.unnamed[0]!, collection: p.collection }]
      : [];
  return [...named, ...given].filter((one) => p.collections === undefined || p.collections.includes(one.collection));
}

const namesOf = (p: Params, ctx: StepContext) => collectionsIn(snapshotsOf(p, ctx.backup));

export const qdrantRestore: StepKind<Params, Facts> = {
  kind: 'qdrant.restore',
  effect: 'destroy',
  backupSet: 'reads',
  params,

  async plan(p, ctx) {
    // Ten thousand collections have as many commands, and each is told several times.
    keepMemoryFlat();
    const { qdrant } = ctx.cluster;
    const snapshots = snapshotsOf(p, ctx.backup);
    const bytes = snapshots.reduce((sum, one) => sum + one.bytes, 0);
    const names = collectionsIn(snapshots);
    const { answers } = await ctx.cluster.answering('qdrant');
    const now = answers ? await pointsNow(qdrant, names) : new Map<string, number | undefined>();
    const points = [...now.values()].reduce<number>((sum, count) => sum + (count ?? 0), 0);
    const commands: string[] = [];
    for (const one of snapshots)
      for (const node of await targetsOf(ctx.cluster, one).catch(() => [qdrant]))
        commands.push(givingText(node, one, one.sha256 ?? '…', p.upload));
    const age = ctx.backup?.takenAt ? `, ${durationOf(Date.now() - ctx.backup.takenAt.getTime())} old` : '';
    const unreadable = [...now].filter(([, count]) => count === undefined).map(([name]) => name);
    return {
      summary: `Restore ${plural(names.length, 'Qdrant collection')} (${sizeOf(bytes)}${age}), at most ${p.atOnce} at a time`,
      commands,
      destroys: [
        ...(now.size === 0
          ? []
          : [`${plural(now.size, 'collection')} at ${qdrant.address} with ${plural(points, 'point')}`]),
        ...(unreadable.length === 0
          ? []
          : [`of these ${unreadable.join(', ')}, which cannot be read: no safety copy of it is possible`]),
      ],
      ...(await uncountedIn('qdrant', ctx)),
      wayBack:
        answers && now.size === 0
          ? 'not needed: none of these collections exists'
          : `a snapshot of each is taken before and kept in ${ctx.workFolder}`,
      pointOfNoReturn: 'each snapshot replaces its collection at once',
      onAbort:
        'the collections done so far are restored, the others are as they were; Qdrant may finish those under way by itself, or leave them broken where it is ended',
      estimateMs: snapshots.reduce((sum, one) => sum + roughMs(one.bytes), 1_000),
      work: { amount: bytes, unit: 'bytes' },
    };
  },

  async check(p, ctx) {
    const { backup } = ctx;
    const snapshots = snapshotsOf(p, backup);
    const findings: Finding[] = [];
    if (backup && backup.unnamed.length > 0 && !(p.collection !== undefined && backup.unnamed.length === 1)) {
      findings.push({
        level: 'blocking',
        message: `nothing says into which collection ${backup.unnamed.map((one) => basename(one.file)).join(', ')} belongs`,
        next:
          backup.unnamed.length === 1
            ? 'say it: --set <step>.collection=NAME, or rename the file to NAME.snapshot'
            : 'rename each file to COLLECTION.snapshot',
      });
    } else if (snapshots.length === 0) {
      findings.push(lacks(backup, 'Qdrant snapshot'));
    }
    for (const one of snapshots) findings.push(...(await fileFindings(one, 'snapshot')));
    const strange = snapshots.filter((one) => !one.collection.startsWith(ctx.cluster.qdrant.prefix));
    if (strange.length > 0) {
      findings.push({
        level: 'blocking',
        message: `${strange.map((one) => one.collection).join(', ')}: no collection of this cluster, whose names begin with ${ctx.cluster.qdrant.prefix}; an upload would make a new one`,
        next: 'rename the file to COLLECTION.snapshot, or set qdrant.collectionPrefix in the profile',
      });
    }
    if (snapshots.length > 0)
      findings.push(...(await ageFindings(ctx)), ...(await roomFindings(snapshots, p.atOnce, ctx)));
    const absent = await unreachable('qdrant', ctx);
    if (absent) return [...findings, absent];
    const { qdrant } = ctx.cluster;
    findings.push(
      ...(await rightsFindings(qdrant)),
      ...(await nodesFindings(ctx.cluster, 'restore')),
      ...wholeFindings(ctx.cluster, snapshots),
      ...(await versionFindings(qdrant, backup)),
      ...(await configFindings(qdrant, snapshots, backup)),
      ...(await nameFindings(snapshots, ctx, p.collection)),
    );
    const names = await listCollections(qdrant);
    const there = new Set(names);
    const replaced = snapshots.filter((one) => there.has(one.collection));
    const bytes = replaced.reduce((sum, one) => sum + one.bytes, 0);
    findings.push(...(await safetyRoomFindings(ctx, plural(replaced.length, 'collection'), bytes)));
    const wanted = new Set(snapshots.map((one) => one.collection));
    const extra = names.filter((name) => !wanted.has(name));
    findings.push({
      level: 'info',
      message: `${plural(snapshots.length, 'snapshot')} to restore; ${plural(names.length, 'collection')} now`,
    });
    if (extra.length > 0) {
      findings.push({
        level: 'warning',
        message: `${plural(extra.length, 'collection')} not in this backup set would stay as now: ${extra.slice(0, 5).join(', ')}`,
      });
    }
    return findings;
  },

  run: (p, ctx, signal) =>
    stepEvents<Facts>((emit) => restoreSnapshots(snapshotsOf(p, ctx.backup), p, ctx, emit, signal)),

  async verify(p, ctx) {
    const checks: Check[] = [];
    const names = namesOf(p, ctx);
    const gathered = takeGathered(ctx);
    const there = new Set(await listCollections(ctx.cluster.qdrant));
    await inParallel(names, 4, async (name) => {
      if (there.has(name)) checks.push(...(gathered.get(name) ?? (await evidenceOf(ctx, name))));
      else checks.push(equal(`qdrant collection ${name}`, 'exists', 'yes', 'no'));
    });
    checks.push(...(await aliasChecks(names, ctx)));
    return checks.sort((a, b) => (a.subject < b.subject ? -1 : a.subject > b.subject ? 1 : 0));
  },

  async probe(p, ctx, facts): Promise<Probe> {
    const names = namesOf(p, ctx);
    const there = await listCollections(ctx.cluster.qdrant);
    const standing = names.filter((name) => there.includes(name));
    if (standing.length === 0) return 'not-started';
    const restored = Object.keys(facts.restored ?? {});
    if (standing.length < names.length || restored.length < names.length) return 'partial';
    const checks = await qdrantRestore.verify(p, ctx, facts as Facts);
    return checks.every((check) => check.ok) ? 'done' : 'partial';
  },

  conclusion({ unsaved = {} }) {
    const names = Object.keys(unsaved);
    if (names.length === 0) return undefined;
    return {
      text: `replaced without a safety copy, since it could not be read: ${names.map((name) => `${name} (${unsaved[name]})`).join('; ')}`,
      exception: true,
    };
  },

  undo: (_p, ctx, facts) =>
    stepEvents<Facts>(async (emit) => {
      const { qdrant } = ctx.cluster;
      for (const [collection, safety] of Object.entries(facts.safety ?? {})) {
        await putBack(ctx, emit, collection, safety);
        emit.output(`${collection} is as it was before this step`);
      }
      for (const collection of facts.created ?? []) {
        if (!(await listCollections(qdrant)).includes(collection)) continue;
        await qdrant.write(ctx.gateway, 'DELETE', `/collections/${collection}`, (client) =>
          client.deleteCollection(collection),
        );
        emit.output(`${collection} did not exist before this step: removed`);
      }
    }),

  async planUndo(_p, { cluster: { qdrant } }, { safety = {}, created = [], restored = {} }) {
    const back = Object.keys(safety);
    const now = await pointsNow(qdrant, [...back, ...created]);
    const points = [...now].reduce((sum, [, count]) => sum + (count ?? 0), 0);
    const brought = Object.values(restored).reduce((sum, one) => sum + one.points, 0);
    const parts = [
      ...(back.length > 0 ? [`${plural(back.length, 'collection')} of before`] : []),
      ...(created.length > 0 ? [`${plural(created.length, 'collection')} less, which did not exist before`] : []),
    ];
    return {
      putsBack: parts.join('; ') || '',
      replaces:
        now.size === 0
          ? []
          : [
              `${plural(points, 'point')} in ${plural(now.size, 'collection')}, ${countOf(Math.max(0, points - brought))} of them added since this step`,
            ],
    };
  },

  async verifyUndo(_p, { cluster: { qdrant } }, { safety = {}, created = [] }) {
    const there = await listCollections(qdrant);
    const checks = created.map((name) =>
      equal(`qdrant collection ${name}`, 'exists', 'no', there.includes(name) ? 'yes' : 'no'),
    );
    await inParallel(Object.entries(safety), 4, async ([name, { inventory }]) => {
      checks.push(...compareCollection(name, inventory, await inventoryCollection(qdrant, name)));
    });
    return checks.sort((a, b) => (a.subject < b.subject ? -1 : a.subject > b.subject ? 1 : 0));
  },
};
