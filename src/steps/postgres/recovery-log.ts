import { join } from 'node:path';
import type { HostFiles } from '../../hosts/host-files.js';
import type { ServiceDriver } from '../../hosts/services/driver.js';
import { LogTail, type RecoveryWords, readWords } from '../../stores/postgres/recovery-log.js';
import type { Emit } from './recovery.js';

// The words of the server about its recovery are its only proof of where it stopped: it gets a log of its own for that time.

/** In the data directory, so that the server may write there. */
export const LOG_FOLDER = 'novamem-runbook-recovery';
const LOG_FILE = 'recovery.log';

/** A log that is known where it is, in the language that is understood, with nothing rotated away. */
export function recoveryLogSettings(dataDir: string): Record<string, string> {
  return {
    logging_collector: 'on',
    log_destination: 'stderr',
    log_directory: join(dataDir, LOG_FOLDER),
    log_filename: LOG_FILE,
    log_file_mode: '0600',
    log_rotation_age: '0',
    log_rotation_size: '0',
    log_min_messages: 'log',
    log_line_prefix: '%m [%p] ',
    log_timezone: 'UTC',
    lc_messages: 'C',
  };
}

/** Follows what the server says: its own log for the recovery, and what its service's log has before that begins. */
export class RecoveryLog {
  readonly lines: string[] = [];
  readonly #tail: LogTail;
  #serviceLines: string[] = [];

  constructor(
    dataDir: string,
    files: HostFiles,
    readonly driver: ServiceDriver,
    readonly emit: Emit,
  ) {
    this.#tail = new LogTail(join(dataDir, LOG_FOLDER, LOG_FILE), files);
  }

  /** Remembers what the service's log ends with, so that only newer lines are taken for this recovery. */
  async begin(): Promise<void> {
    this.#serviceLines = await this.driver.lastLines().catch(() => []);
  }

  /** Takes what is new, tells it, and answers the words of all so far. */
  async read(): Promise<RecoveryWords> {
    for (const line of await this.#tail.read()) this.#take(line);
    return this.words;
  }

  /** What the service's own log has said since `begin`: where a server complains that cannot even begin. */
  async readService(): Promise<RecoveryWords> {
    const now = await this.driver.lastLines().catch(() => []);
    const known = new Set(this.#serviceLines);
    for (const line of now.filter((one) => !known.has(one) && !this.lines.includes(one))) this.#take(line);
    return this.words;
  }

  get words(): RecoveryWords {
    return readWords(this.lines);
  }

  #take(line: string): void {
    this.lines.push(line);
    this.emit.output(`postgres: ${line}`);
  }
}
