import { createHash } from 'node:crypto';
import type { Command } from '../../hosts/command.js';
import { outputOf } from '../../hosts/program-output.js';
import type { PostgresPart } from '../../stores/backup-set/manifest.js';
import { countRows, DumpUnreadable } from '../../stores/postgres/dump.js';
import { toolsFor } from '../../stores/postgres/tools.js';
import { type Sent, under } from '../../stores/storage/storage.js';
import { countOf, sizeOf } from '../../words.js';
import type { Destination } from '../backup/sending.js';
import type { StepContext } from '../step.js';
import type { Emitter } from '../step-events.js';
import { runTool } from './tool.js';

// A dump that is in a bucket and nowhere else: how it gets there, and how it is proven there.

interface Dumping {
  signal: AbortSignal;
  patienceSeconds: number;
  /** About how many bytes come, at most. */
  expected: number | undefined;
  onText(text: string): void;
  onBytes(bytes: number): void;
}

/** Has pg_dump write into a file of the set, which is there as a whole afterwards. Rejects, and leaves nothing there, where pg_dump did not end well. */
export function dumpInto(
  ctx: StepContext,
  command: Command,
  { to, storage }: Destination,
  file: string,
  { signal, patienceSeconds, expected, onText, onBytes }: Dumping,
): Promise<Sent> {
  const written = outputOf(async (taking) => {
    const ended = await runTool(ctx, command, { ...taking, patienceSeconds, onText });
    if (ended.exitCode !== 0) throw new Error(`pg_dump ended with ${ended.exitCode ?? ended.failure}`);
  }, signal);
  const sending = storage.putStream(ctx.gateway, written, under(to, file), { expected, onBytes, signal });
  return sending.catch((error: unknown) => {
    signal.throwIfAborted();
    throw error;
  });
}

/**
 * Reads a dump in the bucket to its end, once: its SHA-256 is the one of what was sent, and the rows that are in it are answered
 * (`schema.table` → rows). One that is not what it should be is removed there, so that the next attempt takes another.
 */
export async function readBack(
  ctx: StepContext,
  { file, bytes, sha256, serverVersion }: PostgresPart,
  { to, storage }: Destination,
  emit: Emitter<unknown>,
  signal: AbortSignal,
): Promise<Record<string, number>> {
  const tools = await toolsFor(Number.parseInt(serverVersion, 10));
  const there = under(to, file);
  const onBytes = emit.bytes(bytes, `reading the dump back from ${to}`);
  const hash = createHash('sha256');
  const pieces = storage.read(there, { signal })[Symbol.asyncIterator]();
  let broken: { error: unknown } | undefined;
  const next = async (): Promise<IteratorResult<Buffer>> => {
    const one = await pieces.next().catch((error: unknown) => {
      broken = { error };
      throw error;
    });
    if (one.done) return one;
    hash.update(one.value);
    onBytes(one.value.length);
    return one;
  };
  try {
    // pg_restore takes no more than it needs, and the checksum is of all: whoever stops taking does not end the reading.
    const dump = { shown: storage.readText(there), pieces: { [Symbol.asyncIterator]: () => ({ next }) } };
    const rows = await countRows(tools, dump, { signal }).catch((error: unknown) => {
      if (broken || signal.aborted || !(error instanceof DumpUnreadable)) throw broken ? broken.error : error;
      return error;
    });
    while (!(await next()).done);
    const got = hash.digest('hex');
    const wrong =
      got !== sha256
        ? `is not what was sent there: its SHA-256 is ${got}, and ${sha256} was sent`
        : rows instanceof DumpUnreadable
          ? `is no dump that can be restored from: ${rows.message}`
          : '';
    if (wrong === '' && !(rows instanceof DumpUnreadable)) {
      const count = Object.values(rows).reduce((sum, one) => sum + one, 0);
      emit.output(
        `${sizeOf(bytes)} were read back from ${to}: they are what was sent, with ${countOf(count)} rows in them`,
      );
      return rows;
    }
    await storage.remove(ctx.gateway, there);
    throw new Error(`${there} ${wrong}. It is removed there, and the set stays unfinished; retry`);
  } catch (error) {
    signal.throwIfAborted();
    throw error;
  } finally {
    await pieces.return?.(undefined);
  }
}
