import { join } from 'node:path';
import { HERE, type Host } from '../../hosts/host.js';
import type { TreeEntry } from '../../hosts/host-files.js';
import { inParallel } from '../../in-parallel.js';
import { storageOn } from '../storage/on-host.js';
import { readWhole } from '../storage/storage.js';
import { readSegmentHeader, type WalArchive } from './wal-archive.js';
import type { LogFile } from './wal-files.js';
import {
  courseOf,
  historyName,
  type Lsn,
  parseHistoryName,
  parseSegmentName,
  type Segment,
  type Stretch,
  segmentName,
  segmentNumberAt,
} from './wal-position.js';

/** All of the log that can be read: the archive's, and what a data directory has that was not archived yet. */
export interface KnownWal {
  segmentBytes: number;
  /** Name of a segment or history → where it is. */
  files: Map<string, LogFile>;
  /** Bytes of those of which a listing has told it. */
  bytes: Map<string, number>;
  /** Names that only the data directory has. */
  unarchived: string[];
  segments: Segment[];
  histories: number[];
  /** The newest segment of the archive; undefined where it has none. */
  newestArchived?: string;
  /** Of which cluster the archive's newest segment says it is; undefined where it has none. */
  systemIdentifier?: string;
  archived: { segments: Segment[]; backups: string[]; compressed: number };
}

let looks = 0;
/** A folder of recycled files has dozens, each of which is asked for its first page. */
const AT_ONCE = 4;

/** Looks into the archive, and into the `pg_wal` of a data directory (`walFolder`) of the server's host, where there is one. */
export async function gatherWal(
  archive: WalArchive,
  walFolder: string | undefined,
  segmentBytes: number,
  host: Host = HERE,
): Promise<KnownWal> {
  looks += 1;
  const look = looks;
  const listing = await archive.list(segmentBytes);
  const nameOf = (segment: Segment) => segmentName(segment, segmentBytes);
  const files = new Map<string, LogFile>();
  for (const name of [...listing.segments.map(nameOf), ...listing.histories.map(historyName)])
    files.set(name, archive.fileOf(name));
  const segments = [...listing.segments];
  const histories = [...listing.histories];
  const unarchived: string[] = [];
  const bytes = new Map(listing.bytes ?? []);
  const own = walFolder !== undefined && (await host.files.exists(walFolder)) ? walFolder : undefined;
  const lying = own === undefined ? [] : await host.files.tree(own, { deep: false });
  const candidates = lying.filter(({ path, kind }) => kind === 'file' && !files.has(path));
  const fileOf = (name: string) => ({ file: join(own!, name), storage: storageOn(host), look });
  const take = ({ path: name, bytes: length }: TreeEntry) => {
    files.set(name, fileOf(name));
    if (!host.here) bytes.set(name, length);
    unarchived.push(name);
  };
  for (const candidate of candidates) {
    const history = parseHistoryName(candidate.path);
    if (history === undefined) continue;
    histories.push(history);
    take(candidate);
  }
  await inParallel(candidates, AT_ONCE, async (candidate) => {
    const segment = parseSegmentName(candidate.path, segmentBytes);
    if (!segment || !(await isWritten(fileOf(candidate.path), segment, { segmentBytes, files }))) return;
    segments.push(segment);
    take(candidate);
  });
  unarchived.sort();
  const newest = listing.segments.reduce<Segment | undefined>(
    (last, one) => (last && last.number > one.number ? last : one),
    undefined,
  );
  const header = newest ? await readSegmentHeader(files.get(nameOf(newest))!).catch(() => undefined) : undefined;
  return {
    segmentBytes,
    files,
    bytes,
    unarchived,
    segments,
    histories,
    ...(newest ? { newestArchived: nameOf(newest) } : {}),
    ...(header ? { systemIdentifier: header.systemIdentifier } : {}),
    archived: { segments: listing.segments, backups: listing.backups, compressed: listing.compressed },
  };
}

/**
 * A server keeps files to use them again under later names: until then their first page tells the old place. After a recovery that
 * can be the same place on the timeline that was left, and only the first segment of a timeline begins with what an older one wrote.
 */
async function isWritten(
  path: LogFile,
  segment: Segment,
  wal: Pick<KnownWal, 'segmentBytes' | 'files'>,
): Promise<boolean> {
  const header = await readSegmentHeader(path).catch(() => undefined);
  if (header?.begins !== segment.number * wal.segmentBytes || header.timeline > segment.timeline) return false;
  if (header.timeline === segment.timeline || !wal.files.has(historyName(segment.timeline))) return true;
  const { from } = (await courseTo(segment.timeline, wal)).at(-1)!;
  return segmentNumberAt(from, wal.segmentBytes) === segment.number;
}

/** The timelines that lead to one; itself alone where its history is not known. */
export async function courseTo(timeline: number, wal: Pick<KnownWal, 'files'>): Promise<Stretch[]> {
  const file = wal.files.get(historyName(timeline));
  return courseOf(timeline, file ? String(await readWhole(file.storage, file.file)) : '');
}

/** The log from one position on, as far as its segments follow each other without a gap. */
export interface Reach {
  /** Names of the segments in their order, each of the timeline that a recovery takes it from. */
  names: string[];
  /** The end of the last of them. */
  until: Lsn;
  /** The first that is missing although later ones are there, or that is not whole. */
  missing?: { name: string; why: string; begins: Lsn };
}

/** Follows the log along a course. */
export async function reachFrom(lsn: Lsn, course: readonly Stretch[], wal: KnownWal): Promise<Reach> {
  const { segmentBytes } = wal;
  const numberAt = (at: Lsn) => segmentNumberAt(at, segmentBytes);
  const last = Math.max(
    ...course.flatMap(({ timeline, from, to }) =>
      wal.segments
        .filter((one) => one.timeline === timeline && one.number >= numberAt(from))
        .filter((one) => to === undefined || one.number <= numberAt(to))
        .map((one) => one.number),
    ),
    -1,
  );
  const names: string[] = [];
  for (let number = numberAt(lsn); number <= last; number += 1) {
    const name = nameOnCourse(number, course, wal);
    const begins = number * segmentBytes;
    const path = wal.files.get(name);
    if (path === undefined)
      return { names, until: begins, missing: { name, begins, why: 'it is neither archived nor in pg_wal' } };
    const bytes = wal.bytes.get(name) ?? (await path.storage.seen(path.file).catch(() => undefined))?.bytes ?? -1;
    if (bytes !== segmentBytes)
      return {
        names,
        until: begins,
        missing: { name, begins, why: `it has ${bytes} bytes instead of ${segmentBytes}` },
      };
    names.push(name);
  }
  return { names, until: (last + 1) * segmentBytes };
}

/** At the segment in which a timeline was left, the newer one's file has all of the older one's too; either will do. */
function nameOnCourse(number: number, course: readonly Stretch[], { segmentBytes, files }: KnownWal): string {
  const begun = course.filter(({ from }) => segmentNumberAt(from, segmentBytes) <= number);
  const names = [...begun].reverse().map(({ timeline }) => segmentName({ timeline, number }, segmentBytes));
  const shared = begun.length > 1 && segmentNumberAt(begun.at(-1)!.from, segmentBytes) === number;
  return (shared ? names.slice(0, 2).find((name) => files.has(name)) : undefined) ?? names[0]!;
}
