import { createReadStream } from 'node:fs';
import { seenIn } from '../../hosts/elsewhere/seen-in.js';
import { exists } from '../../hosts/files.js';
import { localFiles } from '../../hosts/local-files.js';
import { serversIn } from '../../hosts/process-mark.js';
import { nextOf } from '../../problem.js';
import { openBackupSet } from '../../stores/backup-set/open-backup-set.js';
import { type Check, equal } from '../../stores/check.js';
import { majorOf, serverProgramsFor } from '../../stores/postgres/control-data.js';
import { countRows } from '../../stores/postgres/dump.js';
import type { SalvagedTable } from '../../stores/postgres/salvage-rows.js';
import { newestTools } from '../../stores/postgres/tools.js';
import { countOf, messageOf, plural } from '../../words.js';
import type { Finding, StepContext, StepKind } from '../step.js';
import { stepEvents } from '../step-events.js';
import { postgresRawCopy } from './raw-copy.js';
import { type SalvageFacts, type SalvageParams, salvageParams } from './salvage-facts.js';
import { salvage, workingFolder } from './salvaging.js';
import { filesOf } from './server-files.js';

/** Gets every row that can still be read out of a copy of the data directory, and says what never comes back. */
export const postgresSalvage: StepKind<SalvageParams, SalvageFacts> = {
  kind: 'postgres.salvage',
  effect: 'write',
  params: salvageParams,

  async plan(p, ctx) {
    const raw = ctx.factsOf(postgresRawCopy)[0];
    const working = raw ? await workingFolder(p, ctx, raw.bytes).catch(() => p.folder) : p.folder;
    const data = `${working ?? 'WORKING_FOLDER'}/data`;
    return {
      summary: 'Get every row that can be read out of a copy, with a Postgres of its own',
      commands: [
        `cp -aT --reflink=auto ${raw?.copy ?? 'RAW_COPY'} ${data}`,
        `postgres -D ${data} -c listen_addresses= -c archive_mode=off    # a socket that only its owner can enter`,
        `pg_resetwal -f -D ${data}    # only where it does not start otherwise, and only on this copy`,
        'COPY (SELECT … FROM ONLY EACH_TABLE WHERE ctid …) TO …    # every range of blocks that can be read',
        `pg_dump --format=custom --file ${ctx.workFolder}/salvaged/…`,
      ],
      destroys: [],
      wayBack: 'not needed: the original and the raw copy are only read',
      pointOfNoReturn: 'none',
      onAbort: 'a private server that is stopped, and a working copy that is removed',
      ...(ctx.phase === 'ready' && !raw
        ? { notApplicable: 'there is no raw copy to salvage from: nothing was left to copy' }
        : {}),
    };
  },

  async check(p, ctx) {
    const { dataDir } = ctx.cluster.profile.postgres;
    const raw = ctx.factsOf(postgresRawCopy)[0];
    const from = raw?.copy ?? dataDir;
    const files = raw ? localFiles : filesOf(ctx);
    if (from === undefined || (ctx.phase === 'ready' && !raw)) return [];
    const findings: Finding[] = [];
    const seen = await seenIn(async () => ({ major: await majorOf(from, files), isThere: await files.exists(from) }));
    if (!seen) return [];
    const { major, isThere } = seen;
    if (major === undefined) {
      return isThere
        ? [{ level: 'warning', message: `${from} has no PG_VERSION: no server can start on what is left there` }]
        : [];
    }
    try {
      const { version, bin } = await serverProgramsFor(major);
      findings.push({ level: 'info', message: `the private server will be Postgres ${version} (${bin})` });
    } catch (error) {
      findings.push({ level: 'blocking', message: messageOf(error), next: nextOf(error) });
    }
    if (raw) {
      try {
        findings.push({ level: 'info', message: `it works in ${await workingFolder(p, ctx, raw.bytes)}` });
      } catch (error) {
        findings.push({
          level: 'blocking',
          message: messageOf(error),
          next: 'name a folder with more room: --set <step>.folder=/a/folder',
        });
      }
    }
    return findings;
  },

  run: (p, ctx, signal) =>
    stepEvents<SalvageFacts>(async (emit) => {
      const raw = ctx.factsOf(postgresRawCopy)[0];
      if (!raw) throw new Error('there is no raw copy to salvage from');
      await salvage(p, ctx, emit, raw, signal).catch((error: unknown) => {
        signal.throwIfAborted();
        throw new Error(
          `${messageOf(error)}. The raw copy is as it was: ${raw.copy}. For others to try, or to go on without it: start again with nothingLeft=true at the raw copy`,
          { cause: error },
        );
      });
    }),

  /** Every row that could be read is in the dump, read to its end, and nothing of the private server is left. */
  async verify(p, ctx, { nothing, dump, folder, tables, lost, working }): Promise<Check[]> {
    const left = [
      equal('postgres', 'salvage: processes left of its server', 0, serversIn(working).length),
      ...(p.keep ? [] : [equal('postgres', 'salvage: working copy is there', false, await exists(working))]),
    ];
    if (nothing !== undefined) {
      const raw = ctx.factsOf(postgresRawCopy)[0];
      return [
        ...left,
        equal('postgres', 'salvage: raw copy is kept', true, raw !== undefined && (await exists(raw.copy))),
      ];
    }
    const rows = await countRows(await newestTools(), dump);
    const set = await openBackupSet(folder);
    return [
      ...tables.map((one) =>
        equal(
          `postgres table ${one.table}`,
          'rows in the salvaged dump',
          one.rows - one.leftOut,
          rows[one.table] ?? 0,
        ),
      ),
      equal('postgres', 'salvage: a backup set with the dump', dump, set.postgres?.file),
      equal('novamem', 'salvage: ids of lost memories in the file', lost.count, await linesOf(lost.file)),
      ...left,
    ];
  },

  async probe(_p, _ctx, { nothing, dump, lost }) {
    if (nothing !== undefined) return 'done';
    return dump !== undefined && lost !== undefined && (await exists(dump)) ? 'done' : 'not-started';
  },

  conclusion({ nothing, tables, dump, lost, walReset, notMade = [] }) {
    if (nothing !== undefined) return { text: `nothing was salvaged: ${nothing}`, exception: true };
    if (!tables || !lost || !dump) return undefined;
    const { text, whole } = salvagedText(tables);
    const said = [
      `${text} in ${dump}`,
      lost.count > 0 ? `${plural(lost.count, 'memory', 'memories')} can never come back (${lost.file})` : '',
      walReset ? 'the write-ahead log had to be thrown away' : '',
      notMade.length > 0
        ? `${plural(notMade.length, 'index or constraint', 'indexes or constraints')} could not be made`
        : '',
      ...lost.unasked.map((line) => `not asked: ${line}`),
    ];
    const exception = !whole || lost.count > 0 || walReset !== undefined || notMade.length > 0;
    return { text: said.filter((part) => part !== '').join('; '), exception };
  },
};

export function salvagedText(tables: readonly SalvagedTable[]): { text: string; whole: boolean } {
  const rows = tables.reduce((sum, one) => sum + one.rows - one.leftOut, 0);
  const expected = tables.reduce((sum, one) => sum + (one.expectedRows ?? one.rows), 0);
  const whole = tables.every(
    (one) => one.lost.length === 0 && !one.stopped && one.missingBlocks === 0 && one.leftOut === 0,
  );
  const memories = tables.find(({ table }) => table.endsWith('.memory_entries'));
  return {
    text: `${memories ? `${plural(memories.rows - memories.leftOut, 'memory', 'memories')}, ` : ''}${countOf(rows)} of about ${countOf(Math.max(rows, expected))} rows salvaged`,
    whole,
  };
}

async function linesOf(file: string): Promise<number> {
  let lines = 0;
  for await (const chunk of createReadStream(file)) for (const byte of chunk as Buffer) if (byte === 0x0a) lines += 1;
  return lines;
}

/** The salvage of this run; undefined where nothing was salvaged. */
export const salvageOf = (ctx: StepContext): SalvageFacts | undefined =>
  ctx.factsOf(postgresSalvage).find(({ dump }) => dump !== undefined);
