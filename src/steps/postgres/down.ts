import { NotReached } from '../../hosts/elsewhere/reaching.js';
import { readControlData } from '../../stores/postgres/control-data.js';
import { messageOf } from '../../words.js';
import type { Finding, StepContext } from '../step.js';
import { unreachable } from '../store-readiness.js';
import { filesOf, onHost } from './server-files.js';

// A Postgres server that does not answer: whether it was only stopped, or cannot start any more.

/** Last words of a server that its own files keep from starting. */
const CANNOT_START =
  /PANIC: |FATAL: +(.*(pg_control|checkpoint|incompatible|invalid page|corrupt|bogus|WAL|transaction log)|could not (open|read|access|find))|could not find the database system/;
/** After these it went on: what stands before them is no reason any more. */
const WENT_ON = /starting PostgreSQL|ready to accept connections/;

/** What to do where only a new data directory helps. */
export const FRESH_DATA_DIRECTORY = ({ cluster }: StepContext) => {
  const { postgres, profile } = cluster;
  const dir = profile.postgres.dataDir ?? 'DATADIR';
  return [
    `stop Postgres; keep what is there: mv ${dir} ${dir}.damaged`,
    `as its owner: initdb --data-checksums -D ${dir}, and put postgresql.conf and pg_hba.conf back from the old one`,
    `start it; CREATE ROLE ${postgres.user} and the other roles again, with their passwords`,
    'then run this again. Without a backup: novamem-runbook plan postgres-lost-no-backup, before anything is moved',
  ].join('; ');
};

/** Why Postgres does not answer, from its own last words and its control file; none where it answers. */
export async function downFindings(ctx: StepContext): Promise<Finding[]> {
  const absent = await unreachable('postgres', ctx);
  if (!absent) return [];
  const { words, control, damaged } = await signsOfDamage(ctx);
  const said = [...words, ...control];
  if (!damaged) return [absent, ...said];
  return [
    {
      level: 'blocking',
      message: `Postgres cannot start: ${damaged}. Neither way of restoring a database helps: a fresh data directory is needed`,
      next: FRESH_DATA_DIRECTORY(ctx),
    },
    ...said,
  ];
}

async function signsOfDamage(ctx: StepContext): Promise<{ words: Finding[]; control: Finding[]; damaged: string }> {
  const { cluster } = ctx;
  const lines =
    (await cluster
      .driver('postgres')
      ?.lastLines()
      .catch(() => [])) ?? [];
  const since = lines.slice(lines.findLastIndex((line) => WENT_ON.test(line)) + 1);
  const word = since.find((line) => CANNOT_START.test(line));
  const words: Finding[] = lines.slice(-3).map((line) => ({ level: 'info', message: `the server's log: ${line}` }));
  const { dataDir } = cluster.profile.postgres;
  const unseen = (message: string) => ({
    words,
    control: [{ level: 'info' as const, message }],
    damaged: word ?? '',
  });
  if (!dataDir)
    return unseen(
      'the profile does not say where the data directory is (postgres.dataDir): its control file is not looked at',
    );
  try {
    const control = await readControlData(dataDir, undefined, filesOf(ctx));
    const message = `pg_controldata ${dataDir}${onHost(ctx)}: ${control.fault || `"${control.state}", last checkpoint ${control.checkpointAt}, data checksums ${control.checksums ? 'on' : 'off'}`}`;
    return {
      words,
      control: [{ level: control.fault ? 'warning' : 'info', message }],
      damaged: word ?? (control.fault ? `its control file is damaged (${control.fault})` : ''),
    };
  } catch (error) {
    if (error instanceof NotReached) return unseen(`the control file is not looked at: ${error.message}`);
    const message = `pg_controldata ${dataDir}${onHost(ctx)}: ${messageOf(error)}`;
    const missing = /could not open file|No such file/.test(message);
    return {
      words,
      control: [{ level: 'warning', message }],
      damaged: word ?? (missing ? `its data directory or its control file is missing (${dataDir})` : ''),
    };
  }
}
