import { once } from 'node:events';
import { PassThrough } from 'node:stream';

/** How a program is run whose output is taken. */
export interface Taking {
  onChunk(chunk: Buffer): unknown;
  signal: AbortSignal;
}

/**
 * What a program writes, as a stream, no faster than it is taken. It begins with the first piece that is asked for; where `run` rejects
 * the stream does, and whoever takes no more of it has the program ended.
 */
export async function* outputOf(
  run: (taking: Taking) => Promise<unknown>,
  signal?: AbortSignal,
): AsyncGenerator<Buffer> {
  const pieces = new PassThrough({ highWaterMark: 1 << 20 });
  const enough = new AbortController();
  const running = run({
    onChunk: (chunk) => (pieces.write(chunk) ? undefined : once(pieces, 'drain', { signal: enough.signal })),
    signal: AbortSignal.any(signal ? [signal, enough.signal] : [enough.signal]),
  }).then(
    () => pieces.end(),
    (error: Error) => enough.signal.aborted || pieces.destroy(error),
  );
  try {
    yield* pieces as AsyncIterable<Buffer>;
  } finally {
    enough.abort();
    await running;
  }
}
