import { readFile, readlink } from 'node:fs/promises';
import { basename } from 'node:path';
import type { Host } from './host.js';
import { inspectCommand } from './run-command.js';

/** A Redis or Valkey server that runs. */
export interface ServerProcess {
  /** Its program, whatever it was started as. */
  program: string;
  uid: number;
  gids: number[];
}

/** The server binary carries its check tools in itself, so its file may be called after one of them. */
const SERVER_PROGRAM = /^(redis|valkey)-(server|check-aof|check-rdb|sentinel)$/;

const TICKS_A_SECOND = 100;
const TOLERANCE = 5;

/**
 * The server of this pid on a host that has run for this long (seconds); undefined where it cannot be seen (it is elsewhere, not
 * Linux). A server elsewhere may have a pid that some other server has there: that one is told by its age.
 */
export async function serverProcess(pid: number, uptime: number, host: Host): Promise<ServerProcess | undefined> {
  try {
    const { program, stat, up, status } = host.here ? await lookHere(pid) : await lookThere(pid, host);
    if (!SERVER_PROGRAM.test(basename(program))) return undefined;
    if (Math.abs(ageOf(stat, up) - uptime) > TOLERANCE) return undefined;
    // Real, effective, saved, file system: the last is what files are opened with.
    const idsIn = (name: string) => numbers(new RegExp(`^${name}:(.*)$`, 'm').exec(status)?.[1] ?? '');
    return { program, uid: idsIn('Uid').at(-1)!, gids: [idsIn('Gid').at(-1)!, ...idsIn('Groups')] };
  } catch {
    return undefined;
  }
}

/** What Linux says of a process. */
interface Seen {
  program: string;
  /** `/proc/PID/stat`, `/proc/uptime`, `/proc/PID/status`. */
  stat: string;
  up: string;
  status: string;
}

async function lookHere(pid: number): Promise<Seen> {
  return {
    program: (await readlink(`/proc/${pid}/exe`)).replace(/ \(deleted\)$/, ''),
    stat: await readFile(`/proc/${pid}/stat`, 'utf8'),
    up: await readFile('/proc/uptime', 'utf8'),
    status: await readFile(`/proc/${pid}/status`, 'utf8'),
  };
}

/** In a container the link to the program of another user may not be read: then it is looked for by the name that it was called by. */
const LOOK = [
  'cd "/proc/$1" || exit',
  "readlink exe 2>/dev/null || command -v \"$(tr '\\0 ' '\\n\\n' < cmdline | head -n 1)\" || exit",
  'cat stat ../uptime status',
].join('\n');

async function lookThere(pid: number, host: Host): Promise<Seen> {
  const asked = await inspectCommand(host.reach({ file: 'sh', args: ['-c', LOOK, 'sh', String(pid)] }));
  if (asked.exitCode !== 0) throw new Error(asked.stderr || asked.failure);
  const [program = '', stat = '', up = '', ...status] = asked.stdout.split('\n');
  return { program: program.replace(/ \(deleted\)$/, ''), stat, up, status: status.join('\n') };
}

/** How long a process has run (seconds). */
function ageOf(stat: string, up: string): number {
  // Fields after the program's name, which may itself hold spaces and parentheses: start time is field 22 of the line.
  const started = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]) / TICKS_A_SECOND;
  return numbers(up)[0]! - started;
}

const numbers = (text: string) => text.trim().split(/\s+/).filter(Boolean).map(Number);

const OWNER = 6;
const GROUP = 3;
const OTHERS = 0;
const WRITE_AND_ENTER = 0o3;

/** Whether a process may make files in a folder, as its owner and mode tell; access lists are not looked at. */
export function mayWriteIn(
  folder: { uid: number; gid: number; mode: number },
  { uid, gids }: Pick<ServerProcess, 'uid' | 'gids'>,
): boolean {
  if (uid === 0) return true;
  const shift = folder.uid === uid ? OWNER : gids.includes(folder.gid) ? GROUP : OTHERS;
  return ((folder.mode >> shift) & WRITE_AND_ENTER) === WRITE_AND_ENTER;
}
