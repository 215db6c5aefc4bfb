import { NotReached } from '../../hosts/elsewhere/reaching.js';
import type { HostFiles } from '../../hosts/host-files.js';
import { localFiles } from '../../hosts/local-files.js';
import { lineSplitter } from '../../hosts/run-command.js';
import { ARCHIVE_GONE, COPY_FAILED } from './wal-archive.js';
import { type Lsn, parseLsn } from './wal-position.js';

/** Reads what a growing log file has brought since it was last asked; a file that is not there yet has brought nothing. */
export class LogTail {
  #offset = 0;
  #lines: string[] = [];
  readonly #splitter = lineSplitter((line) => this.#lines.push(line));

  constructor(
    readonly file: string,
    readonly files: HostFiles = localFiles,
  ) {}

  async read(): Promise<string[]> {
    const bytes = (await this.files.stat(this.file).catch(unlessUnreached))?.bytes ?? 0;
    if (bytes <= this.#offset) return [];
    const piece = { from: this.#offset, length: bytes - this.#offset };
    const chunk = (await this.files.read(this.file, piece).catch(unlessUnreached)) ?? Buffer.alloc(0);
    this.#offset += chunk.length;
    this.#splitter.take(chunk);
    const lines = this.#lines;
    this.#lines = [];
    return lines;
  }
}

/** A host that is not reached for a moment is asked again; the log is still there then. */
function unlessUnreached(error: unknown): undefined {
  if (error instanceof NotReached) return undefined;
  throw error;
}

/** What a server's own log says of a recovery. Its messages must be in English (`lc_messages = 'C'`). */
export interface RecoveryWords {
  /** It began to replay from an archive: `recovery.signal` was seen. */
  began: boolean;
  /** The newest segment that the restore command brought. */
  restored?: string;
  /** `recovery stopping before commit of transaction 735, time …`, without the first two words. */
  stopped?: string;
  /** The transaction before whose end it stopped. */
  stoppedBefore?: number;
  /** Where the last record that was replayed begins. */
  redoDone?: Lsn;
  newTimeline?: number;
  /** What ended the server, as it said itself. */
  fatal?: string;
}

/** Messages that end a recovery for good; others of the same level are said to clients that come too early. */
const FATAL = new RegExp(
  [
    'recovery ended before configured recovery target',
    'could not restore file',
    'requested recovery stop point is before consistent',
    'requested timeline \\d+ ',
    'recovery target timeline \\d+ does not exist',
    'recovery aborted because of insufficient parameter settings',
    'could not locate (a valid checkpoint|required checkpoint) record',
    'could not find redo location',
    'WAL ends before',
    'WAL was generated with',
    'archive file .* has wrong size',
    'data directory .* has (invalid permissions|wrong ownership|group or world access)',
    'database files are incompatible',
    'database files are from',
    'multiple recovery targets specified',
    'must specify restore_command',
    'configuration file .* contains errors',
    'lock file .* already exists',
  ].join('|'),
);

/** Reads the words of a log, oldest line first. */
export function readWords(lines: readonly string[]): RecoveryWords {
  const words: RecoveryWords = { began: false };
  for (const line of lines) {
    const said = (pattern: RegExp) => pattern.exec(line);
    if (said(/starting (point-in-time recovery|archive recovery)/)) words.began = true;
    const restored = said(/restored log file "([0-9A-F]{24})" from archive/)?.[1];
    if (restored) words.restored = restored;
    const stopped = said(/recovery stopping ((?:before|after|at) .*)$/);
    if (stopped) {
      words.stopped = stopped[1]!;
      const transaction = /(?:commit|abort)(?: prepared)? of transaction (\d+)/.exec(stopped[1]!)?.[1];
      if (transaction) words.stoppedBefore = Number(transaction);
    }
    const done = said(/redo done at ([0-9A-F]+\/[0-9A-F]+)/)?.[1];
    if (done) words.redoDone = parseLsn(done)!;
    const timeline = said(/selected new timeline ID: (\d+)/)?.[1];
    if (timeline) words.newTimeline = Number(timeline);
    const fatal = said(/(?:FATAL|PANIC): +(.*)$/)?.[1];
    if (fatal && words.fatal === undefined && FATAL.test(fatal)) words.fatal = fatal;
  }
  return words;
}

/** What a message that ended a recovery means, and what to do about it. */
export function explainFatal(fatal: string): string {
  const code = /could not restore file "([^"]+)" from archive: child process exited with exit code (\d+)/.exec(fatal);
  if (code && [ARCHIVE_GONE, COPY_FAILED].includes(Number(code[2])))
    return Number(code[2]) === ARCHIVE_GONE
      ? `the WAL archive could not be read when ${code[1]} was asked for (not mounted, or not readable by the server's user); ended on purpose instead of promoting too early`
      : `${code[1]} could not be copied from the WAL archive, and not because it is absent (not readable by the server's user, no room; of a bucket: no program aws, no credentials or rights for that user); ended on purpose instead of promoting too early`;
  if (/recovery ended before configured recovery target/.test(fatal))
    return `all log that could be had was replayed, and the moment did not come ("${fatal}"): either a segment is missing, or nothing was committed after it. In the second case that moment is the same as everything: --set <step>.target=latest (or type: latest)`;
  if (/insufficient parameter settings/.test(fatal))
    return `the server had higher settings when this log was written (max_connections and its like) than its configuration has now ("${fatal}"): raise them, or take the other configuration: --set <step>.configuration=backup`;
  if (/has (invalid permissions|group or world access|wrong ownership)/.test(fatal))
    return `the server refuses its data directory: ${fatal}. It must be 0700 and belong to the server's user`;
  return fatal;
}
