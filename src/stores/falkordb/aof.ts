import { localFiles } from '../../hosts/local-files.js';
import type { ReadableFiles } from '../storage/stored-files.js';

/** What reading an append-only file to its end found. `wholeBytes` is where the last whole command ends. */
export interface AofReading {
  commands: number;
  bytes: number;
  wholeBytes: number;
  /** Empty when the file is whole. */
  fault: string;
}

const CARRIAGE_RETURN = 0x0d;
const NEWLINE = 0x0a;
const LONGEST_HEAD = 1024;
const LONGEST_NAME = 16;

/**
 * Reads the commands of an append-only file (RESP arrays; `#` lines are annotations) and says where it stops being whole.
 * A server with `aof-load-truncated yes`, the default, drops everything after that point without a word.
 */
export async function readAof(file: string, files: ReadableFiles = localFiles): Promise<AofReading> {
  let commands = 0;
  let position = 0;
  let wholeBytes = 0;
  let head = '';
  /** Arguments of the current command that are still to come; -1 between commands. */
  let awaited = -1;
  /** Bytes of the current argument, with its closing CR LF, that are still to come. */
  let payload = 0;
  let fault = '';
  let isName = false;
  let name = '';
  let inTransaction = false;

  const takeHead = (line: string): string => {
    if (awaited === -1) {
      if (line.startsWith('#')) return '';
      const count = /^\*(\d{1,9})$/.exec(line);
      if (!count) return `at byte ${wholeBytes} there should be a command, but there is "${printable(line)}"`;
      awaited = Number(count[1]);
      isName = true;
      name = '';
      return '';
    }
    const length = /^\$(\d{1,12})$/.exec(line);
    if (!length)
      return `in the command at byte ${wholeBytes} there should be an argument's length, but there is "${printable(line)}"`;
    payload = Number(length[1]) + 2;
    return '';
  };

  const size = await sizeOf(file, files);
  reading: for await (const chunk of files.stream(file)) {
    let at = 0;
    while (at < chunk.length) {
      if (payload > 0) {
        const step = Math.min(payload, chunk.length - at);
        // The command's name is its first argument; the two that matter here are short.
        if (isName && name.length < LONGEST_NAME)
          name += chunk.toString('latin1', at, at + Math.min(step, LONGEST_NAME));
        payload -= step;
        at += step;
        if (payload > 0) break;
        awaited -= 1;
        if (isName) {
          if (/^MULTI\r?\n?$/i.test(name)) inTransaction = true;
          if (/^(EXEC|DISCARD)\r?\n?$/i.test(name)) inTransaction = false;
          isName = false;
        }
      } else {
        const end = chunk.indexOf(NEWLINE, at);
        head += chunk.toString('latin1', at, end === -1 ? chunk.length : end);
        if (head.length > LONGEST_HEAD)
          fault = `at byte ${wholeBytes} there should be a command, but there is "${printable(head)}"`;
        if (fault) break reading;
        at = end === -1 ? chunk.length : end + 1;
        if (end === -1) break;
        fault = takeHead(head.charCodeAt(head.length - 1) === CARRIAGE_RETURN ? head.slice(0, -1) : head);
        head = '';
        if (fault) break reading;
      }
      if (payload === 0 && awaited <= 0) {
        if (awaited === 0) commands += 1;
        awaited = -1;
        // A transaction without its EXEC is taken back whole by the server.
        if (!inTransaction) wholeBytes = position + at;
      }
    }
    position += chunk.length;
  }
  if (!fault && wholeBytes !== size)
    fault = `it ends inside the ${inTransaction ? 'transaction' : 'command'} at byte ${wholeBytes}: ${size - wholeBytes} bytes would be dropped`;
  return { commands, bytes: size, wholeBytes, fault };
}

function printable(text: string): string {
  return text.slice(0, 40).replace(/[^\x20-\x7e]/g, '?');
}

/** The file's first 5 bytes say RDB: `REDIS`, or `VALKE` from Valkey 9. */
export async function beginsAsRdb(file: string, files: ReadableFiles = localFiles): Promise<boolean> {
  return startsAsRdb(await files.read(file, { from: 0, length: 5 }));
}

/** The same of the first bytes of a file. */
export const startsAsRdb = (head: Buffer): boolean => /^(REDIS|VALKE)/.test(head.toString('latin1', 0, 5));

/** Empty when an RDB file ends as one must: the end mark, then a checksum of 8 bytes. */
export async function rdbFault(file: string, files: ReadableFiles = localFiles): Promise<string> {
  const size = await sizeOf(file, files);
  if (size < 18 || !(await beginsAsRdb(file, files))) return 'it does not begin as an RDB file';
  const END_MARK = 0xff;
  const [mark] = await files.read(file, { from: size - 9, length: 1 });
  return mark === END_MARK ? '' : 'it does not end with the end mark of an RDB file: it was cut off';
}

async function sizeOf(file: string, files: ReadableFiles): Promise<number> {
  const found = await files.stat(file);
  if (!found) throw new Error(`${file} is not there`);
  return found.bytes;
}

/** One line of the manifest of an append-only directory. `type`: `b` base, `i` increment, `h` history. */
export interface AofManifestEntry {
  file: string;
  seq: number;
  type: 'b' | 'i' | 'h';
}

/** Parses the manifest of an append-only directory (`file NAME seq N type T`, a line each). Throws on any other line. */
export function parseAofManifest(text: string): AofManifestEntry[] {
  return text
    .split(/\r?\n/)
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => {
      const match =
        /^file (?:"([^"/]+)"|([^" /]+)) seq (\d+) type ([bih])(?: startoffset \d+(?: endoffset \d+)?)?$/.exec(line);
      if (!match) throw new Error(`not a line of an AOF manifest: "${printable(line)}"`);
      return { file: (match[1] ?? match[2])!, seq: Number(match[3]), type: match[4] as AofManifestEntry['type'] };
    });
}

/** The text of a manifest: names with spaces are quoted. */
export function aofManifestText(entries: readonly AofManifestEntry[]): string {
  return entries
    .map(({ file, seq, type }) => `file ${file.includes(' ') ? `"${file}"` : file} seq ${seq} type ${type}\n`)
    .join('');
}
