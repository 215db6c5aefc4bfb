import { constants } from 'node:fs';
import { access, open, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { shellWord } from '../../hosts/command.js';
import { Problem } from '../../problem.js';
import { messageOf } from '../../words.js';
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
}

/**
 * Where a server keeps the finished segments of its write-ahead log. A folder now; an object store would answer the same
 * questions.
 */
export interface WalArchive {
  /** `/backups/wal`, as the profile says it. */
  readonly place: string;
  /** Rejects when the archive cannot be read, which is never the same as empty. */
  list(segmentBytes: number): Promise<ArchiveListing>;
  /** A path under which a file of the archive can be read on this machine. */
  pathOf(name: string): Promise<string>;
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

/** Opens the archive that a profile names. */
export function openWalArchive(place: string): WalArchive {
  if (/^[a-z0-9]+:\/\//.test(place))
    throw new Problem(`The WAL archive ${place} cannot be read: only a folder can be.`, {
      next: 'mount it, and name the folder as postgres.walArchive in the profile',
    });
  return folderArchive(place);
}

function folderArchive(folder: string): WalArchive {
  return {
    place: folder,
    pathOf: async (name) => join(folder, name),
    async list(segmentBytes) {
      let names: string[];
      try {
        await access(folder, constants.R_OK | constants.X_OK);
        names = await readdir(folder);
      } catch (error) {
        throw new Error(`the WAL archive ${folder} cannot be read: ${messageOf(error)}`);
      }
      const segments = names.flatMap((name) => parseSegmentName(name, segmentBytes) ?? []);
      return {
        segments: segments.sort((a, b) => a.timeline - b.timeline || a.number - b.number),
        histories: names.flatMap((name) => parseHistoryName(name) ?? []).sort((a, b) => a - b),
        backups: names.filter((name) => /^[0-9A-F]{24}\.[0-9A-F]{8}\.backup$/.test(name)).sort(),
        compressed: names.filter((name) => /^[0-9A-F]{24}\.(gz|zst|lz4|bz2|xz)$/.test(name)).length,
      };
    },
    restoreCommand(witness) {
      // The server replaces %f and %p; a % of the path itself is doubled.
      const at = shellWord(folder).replaceAll('%', '%%');
      return [
        `a=${at}`,
        `if [ -e "$a/%f" ]; then cp "$a/%f" "%p" || exit ${COPY_FAILED}; exit 0; fi`,
        `[ -r "$a/${witness}" ] || exit ${ARCHIVE_GONE}`,
        'exit 1',
      ].join('; ');
    },
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

/** Reads the header of a segment's file; undefined where it has none (an empty file, or one that was never written). */
export async function readSegmentHeader(file: string): Promise<SegmentHeader | undefined> {
  const handle = await open(file, 'r');
  try {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(40), 0, 40, 0);
    // Magic, flags, timeline, page address, remaining length, padding, system identifier, segment size: in this machine's order.
    if (bytesRead < 40 || (buffer.readUInt16LE(2) & LONG_HEADER) === 0) return undefined;
    return {
      timeline: buffer.readUInt32LE(4),
      begins: Number(buffer.readBigUInt64LE(8)),
      systemIdentifier: buffer.readBigUInt64LE(24).toString(),
      segmentBytes: buffer.readUInt32LE(32),
    };
  } finally {
    await handle.close();
  }
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
    names.map(async (name) => readFile(await archive.pathOf(name), 'utf8').catch(() => '')),
  );
  return texts.flatMap((text) => backupEndOf(text) ?? []);
}
