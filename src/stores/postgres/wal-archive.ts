import { readWhole } from '../storage/storage.js';
import type { LogFile } from './wal-files.js';
import { parseHistoryName, parseSegmentName, type Segment } from './wal-position.js';

/** What lies in an archive, by name. */
export interface ArchiveListing {
  /** Sorted by timeline, then by number. */
  segments: Segment[];
  /** Timelines whose history is there. */
  histories: number[];
  /** Histories of base backups: `000000010000000000000002.00000028.backup`. */
  backups: string[];
  /** Segments that were compressed by the archive command, which cannot be read here. */
  compressed: number;
  /** Of each name, where the listing tells it. */
  bytes?: Map<string, number>;
}

/** Where a server keeps the finished segments of its write-ahead log: a folder, or a folder in a bucket. */
export interface WalArchive {
  /** `/backups/wal`, as the profile says it. */
  readonly place: string;
  /** Rejects when the archive cannot be read, which is never the same as empty. */
  list(segmentBytes: number): Promise<ArchiveListing>;
  /** Where a file of the archive is, whether it is there or not. */
  fileOf(name: string): LogFile;
  has(name: string): Promise<boolean>;
  /**
   * A `restore_command` for the server: a file that is absent → exit 1, which the server takes for the end of the log;
   * anything else that goes wrong (not mounted, unreadable, cut off while copied) → above 125, which ends the recovery
   * instead of promoting too early. `witness` is the name of a file that is known to be in the archive: that it cannot be
   * read any more means that the archive is gone, even where an empty folder is in its place.
   */
  restoreCommand(witness: string): string;
}

/** Exit codes of the restore command for what is no absence. The server takes 126 and more for a broken archive. */
export const ARCHIVE_GONE = 201;
export const COPY_FAILED = 202;

/** What names in an archive mean. */
export function listingOf(names: readonly string[], segmentBytes: number): ArchiveListing {
  const segments = names.flatMap((name) => parseSegmentName(name, segmentBytes) ?? []);
  return {
    segments: segments.sort((a, b) => a.timeline - b.timeline || a.number - b.number),
    histories: names.flatMap((name) => parseHistoryName(name) ?? []).sort((a, b) => a - b),
    backups: names.filter((name) => /^[0-9A-F]{24}\.[0-9A-F]{8}\.backup$/.test(name)).sort(),
    compressed: names.filter((name) => /^[0-9A-F]{24}\.(gz|zst|lz4|bz2|xz)$/.test(name)).length,
  };
}

/** First and last segment of one timeline, and what is missing between them. */
export interface TimelineRange {
  timeline: number;
  first: number;
  last: number;
  /** Numbers from and to, both missing. */
  gaps: { from: number; to: number }[];
}

/** The segments of each timeline as ranges, oldest timeline first. */
export function rangesOf(segments: readonly Segment[]): TimelineRange[] {
  const ranges: TimelineRange[] = [];
  for (const { timeline, number } of [...segments].sort((a, b) => a.timeline - b.timeline || a.number - b.number)) {
    const range = ranges.at(-1);
    if (range?.timeline !== timeline) ranges.push({ timeline, first: number, last: number, gaps: [] });
    else {
      if (number > range.last + 1) range.gaps.push({ from: range.last + 1, to: number - 1 });
      range.last = number;
    }
  }
  return ranges;
}

/** What the first page of a segment says of itself. */
export interface SegmentHeader {
  timeline: number;
  /** Where in the log the segment begins: a recycled file still says where it was used before. */
  begins: number;
  systemIdentifier: string;
  segmentBytes: number;
}

const LONG_HEADER = 0x0002;
const HEADER_BYTES = 40;

/** Reads the header of a segment's file; undefined where it has none (an empty file, or one that was never written). */
export async function readSegmentHeader({ file, storage }: LogFile): Promise<SegmentHeader | undefined> {
  const pieces: Buffer[] = [];
  for await (const piece of storage.read(file, { from: 0, to: HEADER_BYTES - 1 })) pieces.push(Buffer.from(piece));
  const header = Buffer.concat(pieces);
  // Magic, flags, timeline, page address, remaining length, padding, system identifier, segment size: in this machine's order.
  if (header.length < HEADER_BYTES || (header.readUInt16LE(2) & LONG_HEADER) === 0) return undefined;
  return {
    timeline: header.readUInt32LE(4),
    begins: Number(header.readBigUInt64LE(8)),
    systemIdentifier: header.readBigUInt64LE(24).toString(),
    segmentBytes: header.readUInt32LE(32),
  };
}

/** When a base backup ended, as the archive's history file of it tells: to the second, in UTC; undefined where it does not. */
export function backupEndOf(text: string): { label: string; startLsn: string; endedAt: Date } | undefined {
  const line = (name: string) => new RegExp(`^${name}: (.*)$`, 'm').exec(text)?.[1]?.trim();
  const stop = /^(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d) (UTC|GMT|Z|[+-]\d\d(?::?\d\d)?)$/.exec(line('STOP TIME') ?? '');
  const startLsn = /^([0-9A-F]+\/[0-9A-F]+)/.exec(line('START WAL LOCATION') ?? '')?.[1];
  if (!stop || !startLsn) return undefined;
  const zone = /^[A-Z]/.test(stop[3]!)
    ? 'Z'
    : stop[3]!.replace(/^([+-]\d\d):?(\d\d)?$/, (_, h, m) => `${h}:${m ?? '00'}`);
  const at = new Date(`${stop[1]}T${stop[2]}${zone}`);
  // It is written in whole seconds, rounded down: it ended within that second.
  return { label: line('LABEL') ?? '', startLsn, endedAt: new Date(at.getTime() + 1_000) };
}

export async function readBackupEnds(archive: WalArchive, names: readonly string[]) {
  const texts = await Promise.all(
    names.map(async (name) => {
      const { file, storage } = archive.fileOf(name);
      return readWhole(storage, file).then(String, () => '');
    }),
  );
  return texts.flatMap((text) => backupEndOf(text) ?? []);
}
