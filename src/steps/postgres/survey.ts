import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { homeFolder } from '../../config/home.js';
import { profileWord } from '../../config/profiles.js';
import { shellWord } from '../../hosts/command.js';
import { exists } from '../../hosts/files.js';
import type { Host } from '../../hosts/host.js';
import { type Check, equal } from '../../stores/check.js';
import { lookAtDataDirectories } from '../../stores/elsewhere/data-directories.js';
import { lookForDumps } from '../../stores/elsewhere/dumps.js';
import { lookForKeptDatabases } from '../../stores/elsewhere/kept-databases.js';
import { lookedAt, notLookedAt, type Place, type Source } from '../../stores/elsewhere/source.js';
import { lookForStandbys, primaryOf } from '../../stores/elsewhere/standbys.js';
import { lookAtArchive } from '../../stores/elsewhere/write-ahead-log.js';
import { firstBytes } from '../../stores/postgres/dump.js';
import { isS3 } from '../../stores/storage/storage.js';
import { messageOf, plural } from '../../words.js';
import { type Finding, readingPlan, type StepContext, type StepKind } from '../step.js';
import { stepEvents } from '../step-events.js';

const params = z.strictObject({
  /** Go on although something better than a salvage was found, or a place could not be looked at. */
  anyway: z.boolean().default(false),
});
type Params = z.infer<typeof params>;

interface Facts {
  places: Place[];
}

/** Looks everywhere for something better than what is left: backups, archives, standbys, other data directories, safety copies. */
export const postgresSurvey: StepKind<Params, Facts> = {
  kind: 'postgres.survey',
  effect: 'read',
  params,

  async plan(_p, { cluster }) {
    const { profile } = cluster;
    const { dataDir } = profile.postgres;
    const { files } = cluster.host('postgres');
    const archive = profile.postgres.walArchive;
    return readingPlan('Look everywhere for something better than a salvage', [
      ...profile.backups.map((root) => `${listingText(root)}    # dumps and base backups, by content`),
      `find '${runsFolder()}' -path '*/safety/*' -type f    # safety copies of earlier runs`,
      ...(archive ? [isS3(archive) ? listingText(archive) : files.said('find', archive, '-type', 'f')] : []),
      ...(dataDir ? [files.said('pg_controldata', dataDir)] : []),
      'SELECT * FROM pg_stat_replication',
      'SELECT datname FROM pg_database',
    ]);
  },

  check: async (p, ctx) => findingsOf(await survey(ctx), p),

  run: (_p, ctx) =>
    stepEvents<Facts>(async (emit) => {
      const places = await survey(ctx);
      emit.facts({ places });
      for (const { place, sources, unreadable } of places) {
        emit.output(
          `${place}: ${unreadable || (sources.length === 0 ? 'nothing' : plural(sources.length, 'source'))}`,
        );
        for (const source of sources) emit.output(`  ${sourceText(source)}`);
      }
    }),

  /** A place that could not be looked at may hold the backup. That the server does not answer is what this scenario is about. */
  async verify({ anyway }, _ctx, { places }): Promise<Check[]> {
    return places.map(({ place, unreadable, lost }) => {
      const check = equal(
        `survey place ${place}`,
        'looked at',
        'looked at',
        unreadable === '' ? 'looked at' : `not looked at: ${unreadable}`,
      );
      if (check.ok || !(anyway || lost)) return check;
      return {
        ...check,
        expected: lost ? 'looked at, or lost with the server' : 'looked at, or left out knowingly',
        ok: true,
      };
    });
  },
  probe: async () => 'not-started',
  conclusion: ({ places = [] }) => ({ text: conclusionOf(places), exception: false }),
};

const listingText = (place: string) =>
  isS3(place) ? `aws s3 ls --recursive '${place}/'` : `find '${place}' -type f`;

const runsFolder = () => join(homeFolder(), 'runs');

async function survey(ctx: StepContext): Promise<Place[]> {
  const { cluster } = ctx;
  const { profile, postgres } = cluster;
  const restore = (folder: string) =>
    `novamem-runbook run postgres-corrupt --profile ${shellWord(profileWord(profile))} --backup ${shellWord(folder)}`;
  const { walArchive } = profile.postgres;
  const { dataDir } = profile.postgres;
  const host = cluster.host('postgres');
  const ofServer = async (place: Promise<Place>): Promise<Place> => ({ ...(await place), lost: true });
  return Promise.all([
    ...profile.backups.map((root) => lookForDumps(root, restore, profile.s3)),
    lookAtEarlierRuns(ctx, restore),
    ...(walArchive ? [lookAtArchive(walArchive, profile.s3, host)] : []),
    ...(dataDir
      ? [
          lookAtDataDirectories(dataDir, (await cluster.driver('postgres')?.commands())?.start, host),
          lookAtPrimary(dataDir, host),
        ]
      : []),
    ofServer(lookForKeptDatabases(postgres)),
    ofServer(lookForStandbys(postgres)),
  ]);
}

async function lookAtPrimary(dataDir: string, { files }: Host): Promise<Place> {
  const place = `${dataDir}, whom it follows`;
  return primaryOf(dataDir, files).then(
    (sources) => lookedAt(place, sources),
    (error: unknown) => notLookedAt(place, messageOf(error)),
  );
}

/** Safety copies and salvaged dumps that earlier runs of this program keep. */
async function lookAtEarlierRuns(ctx: StepContext, restore: (folder: string) => string): Promise<Place> {
  const runs = runsFolder();
  const sources: Source[] = [];
  for (const run of await readdir(runs).catch(() => [] as string[])) {
    const safety = join(runs, run, 'safety');
    if (run === ctx.runId || !(await exists(safety))) continue;
    const found = await lookForDumps(safety, restore);
    if (found.unreadable !== '') return { ...found, sources, place: `${runs}, safety copies` };
    const profile = await profileOf(join(runs, run));
    sources.push(
      ...found.sources.map((source) =>
        profile === undefined || profile === ctx.cluster.name || source.worth !== 'good'
          ? source
          : { ...source, worth: 'perhaps' as const, facts: `${source.facts}, of the cluster ${profile}` },
      ),
    );
  }
  return lookedAt(`${runs}, safety copies`, sources);
}

/** How much of a journal certainly holds whose run it is. */
const HEAD_OF_A_JOURNAL = 4096;

/** The cluster of an earlier run, which need not be this one; undefined where its journal does not say. */
async function profileOf(run: string): Promise<string | undefined> {
  const head = await firstBytes(join(run, 'journal.jsonl'), HEAD_OF_A_JOURNAL).catch(() => undefined);
  return /"type":"run\.started".*?"profile":"([^"]+)"/.exec(head?.toString() ?? '')?.[1];
}

const sourceText = ({ what, where, facts }: Source) => `${what} ${where}: ${facts}`;

function findingsOf(places: readonly Place[], { anyway }: Params): Finding[] {
  const of = (worth: Source['worth']) =>
    places.flatMap(({ sources }) => sources.filter((source) => source.worth === worth));
  const better = of('good').map(
    (source): Finding => ({
      level: anyway ? 'warning' : 'blocking',
      message: `something better than a salvage: ${sourceText(source)}`,
      next: `${source.next ?? ''}${anyway ? '' : '; or go on all the same: --set <step>.anyway=true'}`,
    }),
  );
  const perhaps = of('perhaps').map(
    (source): Finding => ({
      level: 'warning',
      message: `worth a look first: ${sourceText(source)}`,
      ...(source.next ? { next: source.next } : {}),
    }),
  );
  const closed = places
    .filter(({ unreadable }) => unreadable !== '')
    .map(({ place, unreadable, lost }): Finding => {
      const message = `${place} could not be looked at: ${unreadable}`;
      const next = 'make it readable, or take it out of the profile; or go on without: --set <step>.anyway=true';
      return anyway || lost ? { level: 'warning', message } : { level: 'blocking', message, next };
    });
  const none = of('none').map((source): Finding => ({ level: 'info', message: sourceText(source) }));
  return [...better, ...closed, ...perhaps, ...none];
}

function conclusionOf(places: readonly Place[]): string {
  const sources = places.flatMap((place) => place.sources);
  const count = (worth: Source['worth']) => sources.filter((source) => source.worth === worth).length;
  return `${plural(places.length, 'place')} looked at: ${count('good')} better than a salvage, ${count('perhaps')} worth a look`;
}
