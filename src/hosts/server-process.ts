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

/** The server of this pid; undefined where it cannot be seen (another machine, a container, not Linux) or is none. */
export async function serverProcess(pid: number): Promise<ServerProcess | undefined> {
  try {
    const program = (await readlink(`/proc/${pid}/exe`)).replace(/ \(deleted\)$/, '');
    if (!SERVER_PROGRAM.test(basename(program))) return undefined;
    const status = await readFile(`/proc/${pid}/status`, 'utf8');
    // Real, effective, saved, file system: the last is what files are opened with.
    const idsIn = (name: string) => numbers(new RegExp(`^${name}:(.*)$`, 'm').exec(status)?.[1] ?? '');
    return { program, uid: idsIn('Uid').at(-1)!, gids: [idsIn('Gid').at(-1)!, ...idsIn('Groups')] };
  } catch {
    return undefined;
  }
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
