import type { Writable } from 'node:stream';
import { StringDecoder } from 'node:string_decoder';
import { execa } from 'execa';
import { messageOf } from '../words.js';
import { type Command, commandText } from './command.js';
import { keepMemoryFlat } from './flat-memory.js';
import type { Gateway } from './gateway.js';
import { type RealPipe, realPipes } from './real-pipe.js';
import { waitFor } from './waiting.js';

/** How a program ended. `exitCode` is null when a signal ended it or it could not be started; `failure` then says why. */
export interface Ended {
  exitCode: number | null;
  failure: string;
}

/** In the environment of every program that is started for a run: whoever outlives this program is known by it. */
export const RUN_VARIABLE = 'NOVAMEM_RUNBOOK_RUN';

const PATIENCE_AFTER_TERM = 10_000;
/** A program elsewhere that is told by the end of its input to end has to hear of it first. */
const PATIENCE_AFTER_END = 5_000;

/** How a program's output is listened to, and what ends it. */
export interface Listening {
  signal?: AbortSignal;
  onLine?: (line: string, from: 'stdout' | 'stderr') => void;
  /** The lines that came together as one text, with line ends between: for whoever only passes them on. */
  onText?: (text: string, from: 'stdout' | 'stderr') => void;
  /** Raw standard output, instead of lines. Nothing more is read before the promise is settled, where it answers one. */
  onChunk?: (chunk: Buffer) => unknown;
  /** What a command that is `fed` is given on its standard input, after its own. */
  feed?: AsyncIterable<Uint8Array>;
}

/** Runs a program that changes something; every line of its output is told. An abort ends its whole process group. */
export function runCommand(gateway: Gateway, command: Command, listening: Listening = {}): Promise<Ended> {
  return gateway.change({ channel: 'process', text: commandText(command) }, async () =>
    // Whoever wants the bytes wants few of them, and soon.
    start(command, listening, gateway.run, listening.onChunk ? undefined : await realPipes(2)),
  );
}

/** Runs a program that only reads, and tells its output as it comes. */
export function readCommand(command: Command, listening: Listening = {}): Promise<Ended> {
  return start(command, listening);
}

/** Runs a program that only reads; answers all that it printed. It is ended after `timeoutMs`. */
export async function inspectCommand(
  command: Command,
  timeoutMs = 30_000,
): Promise<Ended & { stdout: string; stderr: string }> {
  const out: Buffer[] = [];
  const errors: string[] = [];
  const ended = await start(command, {
    signal: AbortSignal.timeout(timeoutMs),
    onChunk: (chunk) => out.push(chunk),
    onLine: (line) => errors.push(line),
  });
  return { ...ended, stdout: Buffer.concat(out).toString('utf8'), stderr: errors.join('\n') };
}

/** One listener for all programs: dozens may run side by side. */
const dyingWithUs = new Set<() => void>();
process.on('exit', () => {
  for (const die of dyingWithUs) die();
});

async function start(
  command: Command,
  { signal, onLine, onText, onChunk, feed }: Listening,
  run?: string,
  pipes?: RealPipe[],
): Promise<Ended> {
  if (signal?.aborted) {
    for (const pipe of pipes ?? []) pipe.close();
    return { exitCode: null, failure: 'not started: already aborted' };
  }
  keepMemoryFlat();
  const staysOpen = command.attended === true || feed !== undefined;
  const child = execa(command.file, command.args, {
    env: {
      ...command.environment,
      ...command.secretEnvironment,
      ...(run === undefined ? {} : { [RUN_VARIABLE]: run }),
    },
    ...(command.folder ? { cwd: command.folder } : {}),
    ...(staysOpen ? { stdin: 'pipe' } : command.input === undefined ? { stdin: 'ignore' } : { input: command.input }),
    ...(command.calledAs ? { argv0: command.calledAs } : {}),
    ...(command.user && process.getuid?.() === 0 ? command.user : {}),
    // Execa takes any descriptor; its types know those up to 9.
    stdout: (pipes?.[0]?.descriptor ?? 'pipe') as 'pipe',
    stderr: (pipes?.[1]?.descriptor ?? 'pipe') as 'pipe',
    buffer: false,
    reject: false,
    // A process group of its own, so that an abort reaches grandchildren (pg_restore -j) and a terminal's Ctrl-C does not.
    detached: true,
    cleanup: false,
  });
  for (const pipe of pipes ?? []) pipe.close();
  const endGroup = (name: NodeJS.Signals) => {
    try {
      if (child.pid) process.kill(-child.pid, name);
    } catch {
      // The group is gone already.
    }
  };
  let ending: Promise<void> | undefined;
  let failedFeed: unknown;
  const abort = () => {
    ending ??= (async () => {
      if (command.attended) {
        child.stdin?.end();
        if (await groupGone(child.pid, PATIENCE_AFTER_END)) return;
      }
      endGroup('SIGTERM');
      if (!(await groupGone(child.pid, PATIENCE_AFTER_TERM))) endGroup('SIGKILL');
    })();
  };
  if (staysOpen && child.stdin) {
    // One that ends before it has read everything says why by its exit code.
    child.stdin.on('error', () => {});
    if (command.input !== undefined) child.stdin.write(command.input);
    if (feed)
      give(feed, child.stdin).catch((error: unknown) => {
        failedFeed = error;
        abort();
      });
  }
  signal?.addEventListener('abort', abort, { once: true });
  const dieWithUs = () => endGroup('SIGKILL');
  dyingWithUs.add(dieWithUs);

  const flush = (pipes?.map(({ stream }) => stream) ?? [child.stdout, child.stderr]).map((stream, index) => {
    const from = index === 0 ? ('stdout' as const) : ('stderr' as const);
    if (from === 'stdout' && onChunk) {
      stream?.on('data', (chunk: Buffer) => {
        const busy = onChunk(chunk);
        if (!(busy instanceof Promise)) return;
        stream.pause();
        const goOn = () => stream.resume();
        busy.then(goOn, goOn);
      });
      return () => {};
    }
    const lines = textSplitter((text) => {
      onText?.(text, from);
      if (onLine) for (const line of text.split('\n')) onLine(line, from);
    });
    stream?.on('data', lines.take);
    return lines.flush;
  });
  try {
    const result = await child;
    // The child may end before its own children do: none of them is left behind.
    await ending;
    await Promise.all((pipes ?? []).map(({ ended }) => ended));
    if (failedFeed !== undefined && !signal?.aborted) return { exitCode: null, failure: messageOf(failedFeed) };
    for (const finish of flush) finish();
    const failure = result.failed
      ? signal?.aborted
        ? 'aborted'
        : messageOf(result.originalMessage ?? result.shortMessage)
      : '';
    return { exitCode: result.exitCode ?? null, failure };
  } finally {
    signal?.removeEventListener('abort', abort);
    dyingWithUs.delete(dieWithUs);
  }
}

/** Hands a stream on to a program, as fast as it reads. What the program does not want any more is no error. */
async function give(feed: AsyncIterable<Uint8Array>, input: Writable): Promise<void> {
  for await (const piece of feed) {
    if (input.destroyed || input.writableEnded) return;
    if (!input.write(piece))
      await new Promise<void>((resolve) => {
        const go = () => {
          input.off('drain', go);
          input.off('close', go);
          resolve();
        };
        input.on('drain', go);
        input.on('close', go);
      });
  }
  input.end();
}

/** Whether every process of a group ended within the time. */
export async function groupGone(group: number | undefined, patienceMs: number): Promise<boolean> {
  const gone = await waitFor(
    async () => {
      try {
        process.kill(-group!, 0);
        return undefined;
      } catch {
        return true;
      }
    },
    { timeoutMs: patienceMs, slowest: 100 },
  );
  return gone === true;
}

const LONGEST_LINE = 64 * 1024;

/** Cuts a stream of bytes into lines (LF or CRLF). A line over 64 KiB is handed on in pieces, so that memory stays flat. */
export function lineSplitter(onLine: (line: string) => void): { take(chunk: Buffer): void; flush(): void } {
  return textSplitter((text) => {
    for (const line of text.split('\n')) onLine(line);
  });
}

/** The same, with the lines of a chunk in one text: a program may print millions of them. */
function textSplitter(onText: (text: string) => void): { take(chunk: Buffer): void; flush(): void } {
  const decoder = new StringDecoder('utf8');
  let rest = '';
  const tell = (text: string) => onText(text.includes('\r') ? text.replaceAll(/\r(?=\n|$)/g, '') : text);
  return {
    take(chunk) {
      const text = rest + decoder.write(chunk);
      const end = text.lastIndexOf('\n');
      rest = text.slice(end + 1);
      if (end !== -1) tell(text.slice(0, end));
      if (rest.length > LONGEST_LINE) {
        tell(rest);
        rest = '';
      }
    },
    flush() {
      const last = rest + decoder.end();
      rest = '';
      if (last !== '') tell(last);
    },
  };
}
