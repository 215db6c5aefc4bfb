import { basename, dirname, join } from 'node:path';
import { orElse } from '../../hosts/elsewhere/seen-in.js';
import type { HostFiles, Saying } from '../../hosts/host-files.js';
import type { StepContext } from '../step.js';
import { type DataPlaces, freeName, placeFor, staysInPlace } from './data-places.js';
import type { Emit, RecoveryFacts } from './recovery.js';
import { filesOf, onHost } from './server-files.js';

// A write-ahead log that lies outside of the data directory, behind a link in it (initdb --waldir). A new data directory gets a folder of its
// own for its log, on the same disk, and the folder of before is not touched: whatever moves one of the two directories moves its log with
// it, since that is the link.

export const LOG = 'pg_wal';
/** A log that was not yet made ready as a whole: nothing leads to it. */
const PLACING = '.placing';
const SINCE = '.since-';

/** Where the log of now lies, links followed, and where that of the new data directory will. */
export interface LogPlaces {
  before: string;
  place: string;
}

/** Why the log of now cannot be left where it lies. */
export interface LogObstacle {
  obstacle: string;
  next: string;
}

/** Where a data directory's log lies, links followed: undefined where it is in the directory itself, or the link leads nowhere. */
export async function logBehindLink(dataDir: string, files: HostFiles): Promise<string | undefined> {
  return (await hasLink(dataDir, files)) ? orElse(files.realPath(join(dataDir, LOG)), undefined) : undefined;
}

async function hasLink(dataDir: string, files: HostFiles): Promise<boolean> {
  const entries = await orElse(files.list(dataDir), []);
  return entries.some(({ name, kind }) => name === LOG && kind === 'link');
}

/** Where a new data directory's log will lie; undefined where the log of now lies in the data directory itself. */
export async function placesOfLog(dataDir: string, ctx: StepContext): Promise<LogPlaces | LogObstacle | undefined> {
  const files = filesOf(ctx);
  if (!(await hasLink(dataDir, files))) return undefined;
  const link = join(dataDir, LOG);
  const before = await logBehindLink(dataDir, files);
  if (before === undefined)
    return {
      obstacle: `${link}${onHost(ctx)} is a link that leads nowhere: the disk with the write-ahead log is not there`,
      next: `mount the disk that it leads to (${files.said('ls', '-l', link)}); where that is lost, make the folder anew on another. Or have the log lie in the data directory: ${files.said('rm', link)}`,
    };
  if (before === dataDir || before.startsWith(`${dataDir}/`))
    return {
      obstacle: `${link}${onHost(ctx)} leads to ${before}, which is in the data directory itself and would be moved with it`,
      next: `stop Postgres, move ${before} to where it is not in ${dataDir}, and make the link anew`,
    };
  const place = await placeOfNewLog(before, ctx);
  const above = dirname(place);
  if (await files.mayWrite(above)) return { before, place };
  return {
    obstacle: `the write-ahead log lies in ${before}${onHost(ctx)}, and neither that nor the folder above it may be written to: the new one would have no place on that disk`,
    next: `let the user of this program write to ${above}`,
  };
}

/** Beside the log of now; where a disk is mounted there, or the folder above is closed, within it, where a server passes a folder by. */
export async function placeOfNewLog(before: string, ctx: StepContext): Promise<string> {
  if (await staysInPlace(before, filesOf(ctx))) return join(before, `${LOG}${SINCE}${ctx.runId}`);
  const name = basename(before).replace(/\.since-.*$/, '');
  return join(dirname(before), `${name}${SINCE}${ctx.runId}`);
}

/** Has what a new data directory brings of the log lie outside of it, and makes the link. */
export async function placeLog(
  { before, place: wanted }: LogPlaces,
  owner: { uid: number; gid: number },
  facts: RecoveryFacts,
  ctx: StepContext,
  emit: Emit,
  signal: AbortSignal,
): Promise<void> {
  const { gateway } = ctx;
  const files = filesOf(ctx);
  const brought = join(placeFor(facts, ctx), LOG);
  // A new directory of an earlier attempt may have come into its place already, and keeps its log.
  const place = await freeName(wanted, files);
  facts.log = { before, place };
  emit.facts({ log: facts.log });
  const placing = place + PLACING;
  if (await files.exists(placing)) await files.remove(gateway, placing);
  await files.makeFolder(gateway, placing);
  for (const { path, kind } of await files.tree(brought)) {
    signal.throwIfAborted();
    if (kind === 'folder') await files.makeFolder(gateway, join(placing, path));
    else await files.copy(gateway, join(brought, path), join(placing, path));
  }
  await files.giveTo(gateway, placing, owner);
  await files.setMode(gateway, placing, 0o700);
  await files.remove(gateway, brought);
  // The link first: of a log that is there as a whole it is known then whose it is.
  await files.makeLink(gateway, place, brought);
  await files.moveAside(gateway, placing, place);
  emit.output(`the write-ahead log lies in ${place}, on the disk of before; that of before stays in ${before}`);
}

/** Removes the log of a new data directory that is not in its place yet, and the link to it. */
export async function forgetLog(facts: DataPlaces & Pick<RecoveryFacts, 'log'>, ctx: StepContext): Promise<void> {
  const { log } = facts;
  if (log === undefined) return;
  const files = filesOf(ctx);
  const made = placeFor(facts, ctx);
  for (const left of [
    ...((await logBehindLink(made, files)) === log.place ? [log.place] : []),
    ...((await hasLink(made, files)) ? [join(made, LOG)] : []),
    log.place + PLACING,
  ])
    if (await files.exists(left)) await files.remove(ctx.gateway, left);
}

/** What a person types for the same. */
export const logCommands = (place: string, { place: to }: LogPlaces, said: Saying['said']): string[] => [
  said('cp', '-rT', join(place, LOG), to),
  said('rm', '-r', join(place, LOG)),
  said('ln', '-s', to, join(place, LOG)),
];

/** ` (its log: FOLDER)` for a data directory whose log lies elsewhere, and nothing for any other. */
export async function logWords(dataDir: string, ctx: StepContext): Promise<string> {
  const folder = await logBehindLink(dataDir, filesOf(ctx));
  return folder === undefined ? '' : ` (its write-ahead log: ${folder})`;
}
