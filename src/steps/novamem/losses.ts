import { createReadStream } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { z } from 'zod';
import { exists, makeFolder } from '../../hosts/files.js';
import { type Check, equal } from '../../stores/check.js';
import {
  createTable,
  type KnownIds,
  type LostMemories,
  noteLost,
  otherStores,
  writeLost,
} from '../../stores/novamem/lost-memories.js';
import { describeServer } from '../../stores/postgres/server.js';
import { countOf, plural } from '../../words.js';
import { postgresRestoreSalvaged } from '../postgres/restore-salvaged.js';
import { salvageOf } from '../postgres/salvage.js';
import type { Finding, StepContext, StepKind } from '../step.js';
import { stepEvents } from '../step-events.js';
import { unreachable } from '../store-readiness.js';

const params = z.strictObject({});
type Params = z.infer<typeof params>;

interface Facts {
  lost: LostMemories;
  /** The ids, a line each. */
  file: string;
  /** The dump of what was salvaged, where it was not restored. */
  unused?: string;
}

const TABLE = 'runbook_lost';

/** Says which memories can never come back: those that the other stores and the salvage know of, and Postgres does not have. */
export const novamemLosses: StepKind<Params, Facts> = {
  kind: 'novamem.losses',
  effect: 'write',
  params,

  async plan(_p, ctx) {
    return {
      summary: 'Write down which memories can never come back',
      commands: [
        'read the id of every point in Qdrant and of every node in the graph, and ask Postgres for it',
        `write ${fileOf(ctx)}`,
      ],
      destroys: [],
      wayBack: 'not needed: a file is written, and the stores are only read',
      pointOfNoReturn: 'none',
      onAbort: 'nothing is changed',
    };
  },

  async check(_p, ctx) {
    if (ctx.phase === 'preflight') return [];
    const findings: (Finding | undefined)[] = [await unreachable('postgres', ctx)];
    for (const store of ['qdrant', 'falkordb'] as const) {
      const absent = await unreachable(store, ctx);
      if (absent)
        findings.push({ ...absent, level: 'warning', message: `${absent.message}: what it knows is not counted` });
    }
    return findings.filter((finding) => finding !== undefined);
  },

  run: (_p, ctx, signal) =>
    stepEvents<Facts>(async (emit) => {
      const { postgres } = ctx.cluster;
      if (!(await describeServer(postgres)).databaseExists)
        throw new Error(`there is no database ${postgres.database}`);
      await makeFolder(ctx.gateway, ctx.workFolder);
      const file = fileOf(ctx);
      const lost = await postgres.writing(
        ctx.gateway,
        `CREATE TEMPORARY TABLE ${TABLE}    -- ids of lost memories, gone with the session`,
        async (session) => {
          await session.query(createTable(TABLE, true));
          const known = [...noted(ctx), ...otherStores(ctx.cluster)];
          const onIds = (source: string, ids: number) =>
            emit.progress({ done: ids, unit: 'items', text: `ids of memories that ${source} knows` });
          const found = await noteLost(session, TABLE, known, onIds, signal);
          return { ...found, count: await writeLost(ctx.gateway, session, TABLE, file) };
        },
      );
      const salvaged = salvageOf(ctx);
      const unused = ctx.factsOf(postgresRestoreSalvaged).length === 0 ? salvaged?.dump : undefined;
      const facts = { lost, file, ...(unused ? { unused } : {}) };
      emit.facts(facts);
      for (const [source, count] of Object.entries(lost.known))
        emit.output(`${source} knows ${countOf(count)} memories`);
      for (const line of lost.unasked) emit.output(`not asked: ${line}`);
      emit.output(lossesText(facts));
    }),

  /** What stands in the file is really not there, and what was asked was answered. */
  async verify(_p, { cluster: { postgres } }, { lost, file }): Promise<Check[]> {
    const [memories] = await postgres.read<{ there: boolean }>(
      "SELECT to_regclass('memory_entries') IS NOT NULL AS there",
    );
    let lines = 0;
    let present = 0;
    for await (const page of idsOf(file)) {
      lines += page.length;
      if (!memories?.there) continue;
      const [row] = await postgres.read<{ present: number }>(
        'SELECT count(*)::int AS present FROM memory_entries WHERE id::text = ANY($1)',
        [page],
      );
      present += row!.present;
    }
    return [
      equal('novamem', 'lost memories: ids in the file', lost.count, lines),
      equal('novamem', 'lost memories: in Postgres all the same', 0, present),
    ];
  },

  async probe(_p, _ctx, { file }) {
    return file !== undefined && (await exists(file)) ? 'done' : 'not-started';
  },

  conclusion({ lost, file, unused }) {
    if (!lost || file === undefined) return undefined;
    const text = lossesText({ lost, file, ...(unused ? { unused } : {}) });
    return { text, exception: lost.count > 0 || lost.unasked.length > 0 };
  },
};

function lossesText({ lost, file, unused }: Facts): string {
  const unasked = lost.unasked.map((line) => `; not asked: ${line}`).join('');
  if (lost.count === 0) return `no memory that the other stores know of is missing${unasked}`;
  const many = plural(lost.count, 'memory', 'memories');
  if (unused)
    return `${many} are not in Postgres; those that were salvaged lie in ${unused}, the others can never come back; all ids: ${file}${unasked}`;
  return `${many} can never come back; their ids: ${file}${unasked}`;
}

const fileOf = (ctx: StepContext) => join(ctx.workFolder, 'lost-memories.tsv');

/** What the salvage of this run has noted. */
function noted(ctx: StepContext): KnownIds[] {
  const lost = salvageOf(ctx)?.lost;
  return lost ? [{ source: 'salvage', ids: idsOf(lost.file) }] : [];
}

const PAGE = 1_000;

async function* idsOf(file: string): AsyncGenerator<string[], void, undefined> {
  let page: string[] = [];
  for await (const line of createInterface({ input: createReadStream(file), crlfDelay: Number.POSITIVE_INFINITY })) {
    page.push(line.slice(0, line.indexOf('\t')));
    if (page.length < PAGE) continue;
    yield page;
    page = [];
  }
  if (page.length > 0) yield page;
}
