import { basename, dirname, join } from 'node:path';
import type { HostFiles } from '../../hosts/host-files.js';
import { isMountPoint } from '../../hosts/mounts.js';
import {
  BEFORE_INSIDE,
  INSIDE_GLOB,
  isKeptInside,
  PLACING_INSIDE,
  runOf,
} from '../../stores/postgres/kept-inside.js';
import type { Finding, StepContext } from '../step.js';
import type { Emitter } from '../step-events.js';
import { filesOf, onHost } from './server-files.js';

// How a data directory makes place for another one. It is renamed; where it cannot be, since a disk is mounted there or the folder above
// may not be written to, its content is renamed, entry by entry, into a folder in it, and that of the other one out of its own.
//
// Entry by entry can be ended half-way. So a folder is called X.moving as long as its content is on its way, in either direction: what is
// not in it then is in the data directory, and nothing else is there. PG_VERSION leaves the data directory first and comes last: no server
// starts on half of one.

/** The data directory, links followed, and where that of before is kept: beside it, or within. */
export interface DataPlaces {
  dataDir: string;
  aside: string;
}

export const MOVING = '.moving';
const MARK = 'PG_VERSION';
/** What fsck makes at the top of a disk, and nobody may take away. */
const OF_THE_DISK = 'lost+found';

export const isWithin = ({ dataDir, aside }: DataPlaces): boolean => dirname(aside) === dataDir;

/** Whether a data directory has to make place within: a real path. */
export async function staysInPlace(dataDir: string, files: HostFiles): Promise<boolean> {
  if (!(await files.exists(dataDir))) return false;
  return (await isMountPoint(dataDir, files)) || !(await files.mayWrite(dirname(dataDir)));
}

/** Where the data directory of before is kept, for a run. */
export const asideOf = (dataDir: string, runId: string, within: boolean): string =>
  within ? join(dataDir, `${BEFORE_INSIDE}${runId}`) : join(dirname(dataDir), `${basename(dataDir)}.before-${runId}`);

/** Where the new data directory is made ready: a half-made one must never lie where a server could be started in it. */
export const placeFor = (places: DataPlaces, { runId }: Pick<StepContext, 'runId'>): string =>
  isWithin(places) ? join(places.dataDir, `${PLACING_INSIDE}${runId}`) : `${places.dataDir}.placing-${runId}`;

/** Whether a folder is there, be it that a part of its content is in the data directory. */
export const isHeld = async (folder: string, files: HostFiles): Promise<boolean> =>
  (await files.exists(folder)) || files.exists(folder + MOVING);

/** Whether the data directory holds anything that would have to be set aside. */
export const isTaken = async (places: DataPlaces, files: HostFiles): Promise<boolean> =>
  isWithin(places) ? (await contentOf(places.dataDir, files)).length > 0 : files.exists(places.dataDir);

/** A path, or one beside it with a number, that nothing has yet. */
export async function freeName(path: string, files: HostFiles): Promise<string> {
  let name = path;
  for (let number = 2; await files.exists(name); number += 1) name = `${path}-${number}`;
  return name;
}

/** What a data directory holds as such, the mark of it first. */
async function contentOf(dataDir: string, files: HostFiles): Promise<string[]> {
  const names = (await files.list(dataDir)).map(({ name }) => name);
  return markFirst(names.filter((name) => !isKeptInside(name) && name !== OF_THE_DISK));
}

const markFirst = (names: string[]): string[] => [
  ...names.filter((name) => name === MARK),
  ...names.filter((name) => name !== MARK),
];

const namesIn = async (folder: string, files: HostFiles): Promise<string[]> =>
  (await files.exists(folder)) ? (await files.list(folder)).map(({ name }) => name) : [];

/** Sets aside what is in the place of the data directory; goes on where that was ended half-way. */
export async function setAside(places: DataPlaces, to: string, ctx: StepContext): Promise<void> {
  const { dataDir } = places;
  const { gateway } = ctx;
  const files = filesOf(ctx);
  if (!isWithin(places)) return files.moveAside(gateway, dataDir, to);
  const moving = to + MOVING;
  if ((await namesIn(moving, files)).length === 0) {
    await files.makeFolder(gateway, moving);
    // Whoever looks after the server's files is to find this one as its others.
    await files.giveTo(gateway, moving, (await files.stat(dataDir))!);
  }
  await files.moveEntries(gateway, dataDir, moving, await contentOf(dataDir, files));
  await files.moveAside(gateway, moving, to);
}

/** Puts a folder into the place of the data directory, which nothing may be in; goes on where that was ended half-way. */
export async function takeIn(places: DataPlaces, from: string, ctx: StepContext): Promise<void> {
  const { dataDir } = places;
  const { gateway } = ctx;
  const files = filesOf(ctx);
  if (!isWithin(places)) return files.moveAside(gateway, from, dataDir);
  const moving = from + MOVING;
  if (await files.exists(from)) await files.moveAside(gateway, from, moving);
  const names = markFirst(await namesIn(moving, files)).reverse();
  await files.moveEntries(gateway, moving, dataDir, names);
  await removeEmpty(moving, ctx);
}

async function removeEmpty(folder: string, ctx: StepContext): Promise<void> {
  const files = filesOf(ctx);
  const left = await namesIn(folder, files);
  if (left.length > 0) throw new Error(`${folder} still holds ${left.join(', ')}: it is left alone`);
  await files.remove(ctx.gateway, folder);
}

/** The folders in a data directory of whose content a part is in their place: names without their ending, those of any run. */
export async function onTheirWay(dataDir: string, files: HostFiles): Promise<string[]> {
  const names = await namesIn(dataDir, files);
  const moving: string[] = [];
  // An empty one has nothing on its way any more, or not yet: the data directory is whole.
  for (const name of names.filter((one) => isKeptInside(one) && one.endsWith(MOVING)))
    if ((await namesIn(join(dataDir, name), files)).length > 0) moving.push(name.slice(0, -MOVING.length));
  return moving;
}

/**
 * What a run has left half-way in a data directory, as a finding; nothing of such a directory can be told or taken. With `places`, what this
 * run itself has left is passed over.
 */
export async function halfMoved(
  dataDir: string,
  ctx: StepContext,
  places?: DataPlaces,
): Promise<Finding | undefined> {
  const half = (await onTheirWay(dataDir, filesOf(ctx))).find((name) => !places || !isOfRun(name, places, ctx));
  if (half === undefined) return undefined;
  return {
    level: 'blocking',
    message: `a run was ended while it moved what is in ${dataDir}${onHost(ctx)}: a part of it is in ${join(dataDir, half + MOVING)}`,
    next: `have that run put it right first: novamem-runbook undo ${runOf(half)}`,
  };
}

/** Whether a folder in a data directory is of this run. */
const isOfRun = (name: string, places: DataPlaces, ctx: Pick<StepContext, 'runId'>): boolean =>
  name.startsWith(basename(places.aside)) || name === basename(placeFor(places, ctx));

/**
 * Puts right what an attempt of this run has left half-way: the data directory of before is back in its place as a whole, and
 * whatever else was on its way is where it had come from, or went to, as a whole. For a server that is stopped, which it is: it cannot
 * start on less than a whole.
 */
export async function putRight(places: DataPlaces, ctx: StepContext, emit: Emitter<unknown>): Promise<void> {
  if (!isWithin(places)) return;
  const { dataDir, aside } = places;
  const files = filesOf(ctx);
  const half = (await onTheirWay(dataDir, files)).filter((name) => isOfRun(name, places, ctx));
  for (const name of half) {
    const folder = join(dataDir, name);
    if (folder === aside) await takeIn(places, folder, ctx);
    else await setAside(places, folder, ctx);
    emit.output(
      folder === aside
        ? `an earlier attempt was ended while the content of ${dataDir} was on its way: it is back in its place`
        : `an earlier attempt was ended while entries were on their way between ${dataDir} and ${folder}: they are in the latter now`,
    );
  }
  for (const name of await namesIn(dataDir, files))
    if (name.endsWith(MOVING) && isKeptInside(name) && isOfRun(name.slice(0, -MOVING.length), places, ctx))
      await removeEmpty(join(dataDir, name), ctx);
}

/** What a person types to move all that a folder has as a data directory into another one that is there, or all that it has. */
export function contentMoved(from: string, to: string, said: HostFiles['said']): string {
  const leaving = [INSIDE_GLOB, OF_THE_DISK].flatMap((name) => ['!', '-name', name]);
  return said('find', from, '-mindepth', '1', '-maxdepth', '1', ...leaving, '-exec', 'mv', '{}', `${to}/`, ';');
}
