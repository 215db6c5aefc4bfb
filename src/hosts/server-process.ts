import { readFile, readlink } from 'node:fs/promises';
import { basename } from 'node:path';

/** A Redis or Valkey server that runs on this machine. */
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
 * The server of this pid that has run for this long (seconds); undefined where it cannot be seen (another machine, a container,
 * not Linux). A server elsewhere may have a pid that some other server has here: that one is told by its age.
 */
export async function serverProcess(pid: number, uptime: number): Promise<ServerProcess | undefined> {
  try {
    const program = (await readlink(`/proc/${pid}/exe`)).replace(/ \(deleted\)$/, '');
    if (!SERVER_PROGRAM.test(basename(program))) return undefined;
    if (Math.abs((await ageOf(pid)) - uptime) > TOLERANCE) return undefined;
    const status = await readFile(`/proc/${pid}/status`, 'utf8');
    // Real, effective, saved, file system: the last is what files are opened with.
    const idsIn = (name: string) => numbers(new RegExp(`^${name}:(.*)$`, 'm').exec(status)?.[1] ?? '');
    return { program, uid: idsIn('Uid').at(-1)!, gids: [idsIn('Gid').at(-1)!, ...idsIn('Groups')] };
  } catch {
    return undefined;
  }
}

/** How long a process has run (seconds). */
async function ageOf(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
  // Fields after the program's name, which may itself hold spaces and parentheses: start time is field 22 of the line.
  const started = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]) / TICKS_A_SECOND;
  const [up] = numbers(await readFile('/proc/uptime', 'utf8'));
  return up! - started;
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
