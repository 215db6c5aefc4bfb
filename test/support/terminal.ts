import { join } from 'node:path';
import { spawn } from '@lydell/node-pty';
import xterm from '@xterm/headless';
import { eventually } from './eventually.js';

const PROGRAM = join(import.meta.dirname, '..', '..', 'bin', 'novamem-runbook.js');

const ALTERNATE = /\u001b\[\?1049[hl]/g;

/** The real program in a pseudo-terminal, with a terminal's own idea of what is on the screen. */
export class ProgramInTerminal {
  readonly exited: Promise<number>;
  /** Every byte that the program has written so far. */
  written = '';
  readonly #terminal: InstanceType<typeof xterm.Terminal>;
  readonly #process: ReturnType<typeof spawn>;
  #onDrawn: () => unknown = () => {};

  constructor(
    args: string[],
    {
      columns = 80,
      rows = 24,
      environment = {},
      program = PROGRAM,
      through = [],
      oneScreen = false,
    }: {
      columns?: number;
      rows?: number;
      environment?: Record<string, string>;
      /** Another script, or a command that is none. */
      program?: string;
      /** A command that starts the program in its turn, somewhere else. */
      through?: string[];
      /** A terminal that takes no notice of an alternate screen. */
      oneScreen?: boolean;
    } = {},
  ) {
    this.#terminal = new xterm.Terminal({ cols: columns, rows, allowProposedApi: true, scrollback: 1000 });
    const isScript = /\.m?js$/.test(program);
    const [file, ...rest] = [...through, ...(isScript ? [process.execPath] : []), program, ...args];
    this.#process = spawn(file!, rest, {
      cols: columns,
      rows,
      name: environment.TERM ?? 'xterm-256color',
      env: { ...(process.env as Record<string, string>), CI: 'true', ...environment },
    });
    this.#process.onData((data) => {
      this.written += data;
      this.#terminal.write(oneScreen ? data.replace(ALTERNATE, '') : data, () => this.#onDrawn());
    });
    // What a terminal answers (cursor position, attributes) goes back to the program.
    this.#terminal.onData((data) => this.#process.write(data));
    // What was written last may still be on its way through the terminal.
    this.exited = new Promise((resolve) =>
      this.#process.onExit(({ exitCode }) => this.#terminal.write('', () => resolve(exitCode))),
    );
  }

  /** The rows that a person sees now. */
  screen(): string[] {
    const { active } = this.#terminal.buffer;
    return Array.from(
      { length: this.#terminal.rows },
      (_, row) => active.getLine(active.viewportY + row)?.translateToString(true) ?? '',
    );
  }

  /** Everything on the ordinary screen, what has scrolled away included. */
  scrollback(): string {
    const { normal } = this.#terminal.buffer;
    return Array.from({ length: normal.length }, (_, row) => normal.getLine(row)?.translateToString(true) ?? '').join(
      '\n',
    );
  }

  get onAlternateScreen(): boolean {
    return this.#terminal.buffer.active.type === 'alternate';
  }

  get pid(): number {
    return this.#process.pid;
  }

  type(keys: string): void {
    this.#process.write(keys);
  }

  resize(columns: number, rows: number): void {
    this.#terminal.resize(columns, rows);
    this.#process.resize(columns, rows);
  }

  /** Waits until the screen shows something, and answers the screen as text. */
  async shows(pattern: RegExp, timeoutMs = 30_000): Promise<string> {
    let text = '';
    await eventually(
      `the screen shows ${pattern}`,
      () => {
        text = this.screen().join('\n');
        return pattern.test(text);
      },
      timeoutMs,
    ).catch((error: Error) => {
      throw new Error(`${error.message}; it shows:\n${text}`);
    });
    return text;
  }

  /** Resolves with the first drawing that shows something, without asking in between. */
  async drawn(pattern: RegExp, timeoutMs = 30_000): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    await new Promise<void>((resolve, reject) => {
      timer = setTimeout(() => reject(new Error(`it never showed ${pattern}`)), timeoutMs);
      this.#onDrawn = () => pattern.test(this.screen().join('\n')) && resolve();
      this.#onDrawn();
    }).finally(() => {
      clearTimeout(timer);
      this.#onDrawn = () => {};
    });
  }

  /** The window is closed: the program gets SIGHUP, and its terminal is gone. */
  close(): void {
    (this.#process as unknown as { destroy(): void }).destroy();
  }

  kill(): void {
    this.#process.kill('SIGKILL');
  }
}
