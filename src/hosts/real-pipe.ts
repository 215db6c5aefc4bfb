import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, constants, openSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

/**
 * A pipe of the system's own. What Node gives a child for one is a socket, which holds only some 150 short lines: a program that writes
 * line by line then waits after each few, and takes two or three times as long. `descriptor` is for the child; `close` it once the child has it.
 */
export interface RealPipe {
  stream: Socket;
  descriptor: number;
  close(): void;
  /** Resolves when nobody holds the other end any more, and all that was written has been read. */
  ended: Promise<unknown>;
}

/**
 * So many pipes; they have no name any more, so that nobody else can open them. Undefined where none can be made (no mkfifo, no room for
 * temporary files): a socket does as well, only slower.
 */
export async function realPipes(count: number): Promise<RealPipe[] | undefined> {
  const folder = await mkdtemp(join(tmpdir(), 'novamem-runbook-pipe-')).catch(() => undefined);
  if (folder === undefined) return undefined;
  const files = Array.from({ length: count }, (_, index) => join(folder, String(index)));
  try {
    await promisify(execFile)('mkfifo', ['-m', '600', ...files]);
    return files.map(opened);
  } catch {
    return undefined;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function opened(file: string): RealPipe {
  // The end to write to can be opened only where somebody reads, and the other one without waiting for somebody who writes.
  const reading = openSync(file, constants.O_RDONLY | constants.O_NONBLOCK);
  const descriptor = openSync(file, constants.O_WRONLY);
  const stream = new Socket({ fd: reading, readable: true, writable: false });
  return { stream, descriptor, close: () => closeSync(descriptor), ended: once(stream, 'close') };
}
