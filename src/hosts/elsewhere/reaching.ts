import { Problem } from '../../problem.js';
import { shortened } from '../../words.js';
import type { Command } from '../command.js';
import { type Ended, type Listening, readCommand } from '../run-command.js';

/** What a script there has said. `out` is empty where it was listened to piece by piece. */
export interface Answer {
  code: number;
  out: Buffer;
  /** Its words of failure, the last ones. */
  error: string;
}

export interface Asking {
  /** What it reads, from the beginning each time it is asked for. */
  feed?: () => AsyncIterable<Uint8Array>;
  /** Its standard output piece by piece, instead of in the answer. */
  onChunk?: (chunk: Buffer) => unknown;
  signal?: AbortSignal;
  /** Milliseconds; without it, as long as it takes. */
  patience?: number;
  /** What is as it was before, should the connection be lost meanwhile. */
  safe?: () => string;
}

const PATIENCE = 60_000;
const MARK = '--novamem-runbook-ended-';
const MARKED = new RegExp(`${MARK}(\\d+)\\n?$`);

/** A way was found, and nothing runs at its end: another way may lead to the same files. */
const STOPPED =
  /is not running|is restarting|no running|container not found|does not have a host assigned|in a completed pod|unable to find pods|no pods found|timed out waiting for the condition|pods? "[^"]*" not found/i;

type Reach = (command: Command) => Command;
/** Asks, and once more where the words of failure say how it is asked there. */
type Retry = <A>(ask: () => Promise<A>, saidOf: (answer: A) => string) => Promise<A>;

/** A host was not reached, or the connection was lost. `stopped`: since nothing runs there whose files could be seen. */
export class NotReached extends Problem {
  constructor(
    message: string,
    readonly stopped: boolean,
    more: { next: string; safe?: string },
  ) {
    super(message, more);
  }
}

/** Runs scripts for `sh` elsewhere, and tells what they failed with from not having reached it. */
export class Reaching {
  /** The `ways` are tried in turn while nothing runs at their end. `look`: what a person types to see whether it can be reached. */
  constructor(
    readonly title: string,
    readonly look: () => string,
    readonly ways: () => readonly [Reach, ...Reach[]],
    readonly more: { retry?: Retry; whileStopped?: Reach } = {},
  ) {}

  /** What a person would type to have this done there. */
  text(command: Command): string {
    return this.ways()[0](command).shown!;
  }

  /** The same while nothing runs there but what is made for it. */
  textWhileStopped(command: Command): string {
    const { whileStopped } = this.more;
    return whileStopped ? whileStopped(command).shown! : this.text(command);
  }

  /** Rejects with `NotReached` where it was not reached, or the connection was lost before it had ended. */
  async ask(script: string, args: readonly string[], asking: Asking = {}): Promise<Answer> {
    const command: Command = {
      file: 'sh',
      args: ['-c', `( ${script}\n); s=$?; echo "${MARK}$s" >&2; exit $s`, 'sh', ...args],
      // What is quickly done needs nobody who waits for its end: its input is empty.
      ...(asking.feed ? { fed: true } : Number.isFinite(asking.patience ?? PATIENCE) ? { input: '' } : {}),
    };
    let failure = '';
    let stopped = true;
    for (const reach of this.ways()) {
      const once = () => this.#once(reach(command), asking);
      const { retry } = this.more;
      const asked = retry ? await retry(once, ({ answer, said }) => (answer ? '' : said)) : await once();
      const { answer, said } = asked;
      if (answer) return answer;
      asking.signal?.throwIfAborted();
      failure ||= said;
      if (!STOPPED.test(said)) {
        failure = said;
        stopped = false;
        break;
      }
    }
    const safe = asking.safe?.();
    const seen = `${this.title} cannot be reached, or the connection to it was cut: ${failure}`;
    // A step tells the message alone.
    throw new NotReached([seen, ...(safe ? [safe.replace(/\.$/, '')] : [])].join('. '), stopped, {
      ...(safe ? { safe } : {}),
      next: `see whether it can be reached: ${this.look()}; then retry`,
    });
  }

  async #once(command: Command, asking: Asking): Promise<{ answer?: Answer; said: string }> {
    const { feed, onChunk, signal, patience = PATIENCE } = asking;
    const out: Buffer[] = [];
    let said = '';
    const late = Number.isFinite(patience) ? AbortSignal.timeout(patience) : undefined;
    const signals = [signal, late].filter((one) => one !== undefined);
    const listening: Listening = {
      onChunk: onChunk ?? ((chunk) => void out.push(chunk)),
      onText: (text, from) => {
        if (from === 'stderr') said = `${said}${text}\n`.slice(-8_000);
      },
      ...(feed ? { feed: feed() } : {}),
      ...(signals.length === 0 ? {} : { signal: AbortSignal.any(signals) }),
    };
    const ended: Ended = await readCommand(command, listening);
    const mark = MARKED.exec(said);
    const error = lastLines(said.replace(MARKED, ''));
    if (mark && !signal?.aborted) return { answer: { code: Number(mark[1]), out: Buffer.concat(out), error }, said };
    if (late?.aborted) return { said: `no answer within ${patience / 1000} s` };
    return { said: error || ended.failure || `${command.file} ended with exit code ${ended.exitCode}` };
  }
}

const lastLines = (said: string) => shortened(said.trim().split('\n').slice(-3).join('; '));
