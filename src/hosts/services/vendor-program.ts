import type { ServiceName } from '../../config/profile.js';
import { Problem } from '../../problem.js';
import { shortened } from '../../words.js';
import { type Command, commandText } from '../command.js';
import type { Gateway } from '../gateway.js';
import type { Host } from '../host.js';
import { type Ended, inspectCommand, runCommand } from '../run-command.js';
import type { DriverOptions } from './driver.js';

/** What a vendor's program says when it cannot do what it was told, and what a person does about it. */
export interface Fault {
  says: RegExp;
  next: string;
}

export type Answer = Ended & { stdout: string; stderr: string };

const ASKING_PATIENCE = 30_000;
const SSH_FAILED = 255;

/** Runs a vendor's own command-line program where the service is, and says what to do when it refuses. */
export class VendorProgram {
  /** `patienceMs`: how long one command that changes something may take. */
  constructor(
    readonly service: ServiceName,
    readonly host: Host,
    readonly faults: readonly Fault[],
    readonly patienceMs = 300_000,
  ) {}

  shown(...commands: Command[]): string {
    return commands.map((command) => commandText(this.host.reach(command))).join(' && ');
  }

  /** What it answers to a question; nothing is made of an exit code. */
  attempt(command: Command): Promise<Answer> {
    return inspectCommand(this.host.reach(command), ASKING_PATIENCE);
  }

  /** What it prints; a Problem where it does not end well. */
  async ask(command: Command): Promise<string> {
    const answer = await this.attempt(command);
    if (answer.exitCode !== 0) throw this.problem(command, answer, answer.stderr || answer.stdout);
    return answer.stdout;
  }

  /** Has it change something; a Problem where it does not end well, or in time. */
  async run(gateway: Gateway, command: Command, { onLine, signal }: DriverOptions): Promise<void> {
    const lines: string[] = [];
    const late = AbortSignal.timeout(this.patienceMs);
    const ended = await runCommand(gateway, this.host.reach(command), {
      signal: signal ? AbortSignal.any([signal, late]) : late,
      onLine: (line) => {
        lines.push(line);
        if (lines.length > 20) lines.shift();
        onLine(line);
      },
    });
    signal?.throwIfAborted();
    if (late.aborted && ended.exitCode !== 0)
      throw new Problem(`"${this.shown(command)}" did not end within ${this.patienceMs / 1000} s and was ended`, {
        safe: 'What it had asked for may still happen.',
        next: 'see what it waits for, then retry',
      });
    if (ended.exitCode !== 0) throw this.problem(command, ended, lines.join('\n'));
  }

  problem(command: Command, { exitCode, failure }: Ended, words: string): Problem {
    const shown = this.shown(command);
    const said = shortened(words.trim().split('\n').slice(-3).join(' · '));
    // A program that was not found at all says so in the words of whoever looked for it.
    const missing = /ENOENT/.test(failure) || exitCode === 127 || /: command not found/.test(words);
    const where = this.host.here ? '' : ` on ${this.host.title}`;
    const message = `"${shown}" ${exitCode === null ? `could not be run (${failure})` : `ended with exit code ${exitCode}`}${said === '' ? '' : `: ${said}`}`;
    if (missing)
      return new Problem(`${command.file} is not there${where}: ${message}`, {
        next: `install ${command.file}${where}, or name the machine that has it in the profile: hosts.${this.service}: { ssh: … }`,
      });
    if (!this.host.here && exitCode === SSH_FAILED)
      return new Problem(message, { next: `first have this work: ${this.shown({ file: 'true', args: [] })}` });
    const fault = this.faults.find(({ says }) => says.test(words));
    return new Problem(message, { next: fault?.next ?? `have this work by hand, then retry: ${shown}` });
  }

  /** What it printed was something else than this version of it is known to print. */
  strange(command: Command, printed: string, because: string): Problem {
    return new Problem(
      `"${this.shown(command)}" answers something that is not understood (${because}): ${shortened(printed.trim()) || '(nothing)'}`,
      { next: `look at what it prints: ${this.shown(command)}; or drive the service with driver: command` },
    );
  }
}
