import { join } from 'node:path';
import { z } from 'zod';
import { keepOnDisk } from '../../hosts/durable.js';
import { makeFolder, remove, writeText } from '../../hosts/files.js';
import { MANIFEST_FILE, type Manifest, UNFINISHED_FILE } from '../../stores/backup-set/manifest.js';
import { openBackupSet } from '../../stores/backup-set/open-backup-set.js';
import { equal } from '../../stores/check.js';
import type { Agreement } from '../../stores/crosscheck/agreement.js';
import { type GoldenSearch, recordSearches } from '../../stores/novamem/golden-searches.js';
import { under } from '../../stores/storage/storage.js';
import { durationOf, messageOf, plural } from '../../words.js';
import { falkordbBackup } from '../falkordb/backup.js';
import { postgresBackup } from '../postgres/backup.js';
import { postgresBaseBackup } from '../postgres/base-backup.js';
import { qdrantBackup } from '../qdrant/backup.js';
import { readingPlan, type StepContext, type StepKind } from '../step.js';
import { stepEvents } from '../step-events.js';
import { agreementNow } from './agreement.js';
import { newBackupOf, noBackupRoot } from './new-backup.js';
import { endSending, sendingFindings } from './sending.js';

const params = z.strictObject({
  /** How many golden searches are recorded where the profile names none of its own. */
  searches: z.number().int().nonnegative().max(50).default(5),
});
type Params = z.infer<typeof params>;

interface Facts {
  manifest: string;
  searches: number;
  /** Files and folders that the manifest vouches for. */
  parts: number;
}

/** Ends a backup set: records the golden searches and how far the stores agree, and writes the manifest of what the earlier steps of this run have saved. */
export const backupManifest: StepKind<Params, Facts> = {
  kind: 'backup.manifest',
  effect: 'write',
  backupSet: 'writes',
  params,
  async plan(_p, { newBackup, cluster }) {
    const commands = [`write ${under(newBackup?.to ?? newBackup?.folder ?? '(no backup root)', MANIFEST_FILE)}`];
    if (cluster.novamem) commands.unshift(`POST ${cluster.novamem.address}/v1/search, once for each golden search`);
    return readingPlan(
      'Write the manifest: what the set holds, with checksums, inventory and golden searches',
      commands,
      { onAbort: 'an unfinished backup set, which is never restored from' },
    );
  },
  async check(p, ctx) {
    const nowhere = noBackupRoot(ctx);
    if (nowhere) return [nowhere];
    const unsent = await sendingFindings(ctx);
    if (unsent.length > 0) return unsent;
    if (p.searches === 0 && !ownSearches(ctx)) return [];
    const { novamem } = ctx.cluster;
    const why = novamem
      ? await novamem.get('/live').then(
          () => '',
          (error: unknown) => messageOf(error),
        )
      : 'the profile does not say where novamem is';
    if (!why) return [];
    return [
      {
        level: 'warning',
        message: `no golden searches can be recorded: ${why}`,
        next: 'the data is backed up all the same',
      },
    ];
  },
  run: (p, ctx, signal) =>
    stepEvents<Facts>(async (emit) => {
      const { id, folder, to = folder } = newBackupOf(ctx);
      const saved = savedParts(ctx);
      const begun = Math.min(...instantsOf(saved));
      const [{ searches, notes, by }, { agreement, note }] = await Promise.all([
        goldenSearches(p, ctx, saved.postgres?.part.at),
        agreementNow(ctx, { ...saved, begun }, emit, signal),
      ]);
      if (note) notes.push(note);
      for (const one of notes) emit.output(`warning: ${one}`);
      const manifest = manifestOf(id, ctx.cluster.name, saved, { searches, by, agreement, notes });
      const file = join(folder, MANIFEST_FILE);
      // Of a set that was sent it may have gone with the rest.
      await makeFolder(ctx.gateway, folder);
      // What a manifest vouches for must not be taken by a power cut that spares the manifest.
      await keepOnDisk(folder);
      await writeText(ctx.gateway, file, `${JSON.stringify(manifest, null, 1)}\n`);
      await remove(ctx.gateway, join(folder, UNFINISHED_FILE));
      await endSending(ctx, piecesOf(manifest), signal);
      emit.facts({ manifest: under(to, MANIFEST_FILE), searches: searches.length, parts: partsOf(manifest) });
      emit.output(
        `backup set ${id} is complete, with ${plural(searches.length, 'golden search', 'golden searches')}; the stores' instants lie ${durationOf(manifest.skewMs)} apart`,
      );
    }),
  async verify(_p, ctx, facts) {
    const { folder, to = folder } = newBackupOf(ctx);
    const set = await openBackupSet(to, ctx.cluster.profile.s3);
    const parts =
      (set.postgres ? 1 : 0) + (set.postgresBase ? 1 : 0) + set.qdrant.length + (set.falkordb?.files.length ?? 0);
    return [
      equal('backup set', 'opens as', 'manifest', set.kind),
      equal('backup set', 'parts', String(facts.parts), String(parts)),
      equal('backup set', 'golden searches', String(facts.searches), String(set.goldenSearches.length)),
    ];
  },
  probe: async () => 'not-started',
};

const ownSearches = ({ cluster }: StepContext) => cluster.profile.novamem?.goldenSearches;

const partsOf = ({ parts }: Manifest) =>
  (parts.postgres ? 1 : 0) + (parts.postgresBase ? 1 : 0) + parts.qdrant.length + parts.falkordb.length;

/** The files that a manifest names; of a base backup its own list. */
const piecesOf = ({ parts }: Manifest) => [
  ...(parts.postgres ? [parts.postgres] : []),
  ...parts.qdrant,
  ...parts.falkordb,
];

type Saved = ReturnType<typeof savedParts>;

/** What the earlier steps of this run have backed up. */
function savedParts(ctx: StepContext) {
  const [postgres] = ctx.factsOf(postgresBackup);
  const [base] = ctx.factsOf(postgresBaseBackup);
  const [qdrant] = ctx.factsOf(qdrantBackup);
  const [falkordb] = ctx.factsOf(falkordbBackup);
  if (!postgres && !qdrant && !falkordb) throw new Error('no earlier step of this run has backed up anything');
  return { postgres, base, qdrant, falkordb };
}

/** A backup without golden searches is still a backup: why there are none is noted in it. */
async function goldenSearches(
  p: Params,
  ctx: StepContext,
  dumpedAt: string | undefined,
): Promise<{ searches: GoldenSearch[]; notes: string[]; by?: 'novamem' | 'stand-in' }> {
  const { novamem, postgres } = ctx.cluster;
  const own = ownSearches(ctx) ?? [];
  const none = (why: string) => ({ searches: [], notes: [`no golden searches: ${why}`] });
  if (own.length === 0 && p.searches === 0) return none('none were asked for');
  if (!novamem) return none('the profile does not say where novamem is');
  if (dumpedAt === undefined) return none('Postgres was not backed up');
  return recordSearches(novamem, postgres, { own, count: p.searches, dumpedAt }).catch((error: unknown) =>
    none(messageOf(error)),
  );
}

/** When each of the stores was backed up, ms since 1970. */
function instantsOf({ postgres, qdrant, falkordb }: Saved): number[] {
  return [postgres?.part.at, ...(qdrant?.parts ?? []).map((part) => part.at), falkordb?.parts[0]?.at]
    .filter((at) => at !== undefined)
    .map((at) => Date.parse(at));
}

function manifestOf(
  id: string,
  cluster: string,
  saved: Saved,
  {
    searches,
    by,
    agreement,
    notes,
  }: {
    searches: GoldenSearch[];
    by: 'novamem' | 'stand-in' | undefined;
    agreement: Agreement | undefined;
    notes: string[];
  },
): Manifest {
  const { postgres, base, qdrant, falkordb } = saved;
  const instants = instantsOf(saved);
  const finishedAt = new Date().toISOString();
  return {
    version: 1,
    id,
    cluster,
    startedAt: new Date(Math.min(...instants)).toISOString(),
    finishedAt,
    skewMs: Math.max(...instants) - Math.min(...instants),
    parts: {
      ...(postgres ? { postgres: postgres.part } : {}),
      ...(base ? { postgresBase: base.part } : {}),
      qdrant: qdrant?.parts ?? [],
      falkordb: falkordb?.parts ?? [],
    },
    inventory: {
      takenAt: finishedAt,
      ...(postgres ? { postgres: postgres.inventory } : {}),
      ...(qdrant ? { qdrant: qdrant.inventory } : {}),
      ...(falkordb ? { falkordb: falkordb.inventory } : {}),
      ...(agreement ? { agreement } : {}),
    },
    notExact: [
      ...Object.keys(qdrant?.moving ?? {}).map(
        (name) => `collection ${name} was written to while its snapshot was taken`,
      ),
      ...(falkordb?.moving ? ['the graph was written to while it was copied'] : []),
      ...notes,
    ],
    moving: { qdrant: qdrant?.moving ?? {}, ...(falkordb?.moving ? { falkordb: falkordb.moving } : {}) },
    goldenSearches: searches,
    ...(by ? { goldenSearchesBy: by } : {}),
  };
}
