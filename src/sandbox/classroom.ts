import { randomBytes } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { PACKAGE_ROOT } from '../config/package-root.js';
import type { Profile } from '../config/profile.js';
import { resolveSecret } from '../config/secrets.js';
import { shellWord } from '../hosts/command.js';
import { openGateway } from '../hosts/gateway.js';
import { runCommand } from '../hosts/run-command.js';
import { Problem } from '../problem.js';
import type { Lesson } from '../runbook/lesson.js';
import { type Disaster, sceneOf } from './disasters/disaster.js';
import { findDisaster } from './disasters.js';
import { lessonVariables, notePredicted } from './lesson-shell.js';
import { remember } from './remember.js';
import { sandboxDown, sandboxProfile, sandboxUp } from './sandbox.js';
import { strike, type TakeBackup } from './strike.js';

/** As many as people can lose and count, and as few as take no time. */
const MEMORIES = 600;

/** Bytes of chance, which no table compresses: several pages. */
const LONG = 32 << 10;

const PROGRAM = join(PACKAGE_ROOT, 'bin', 'novamem-runbook.js');

/** A throw-away cluster for one lesson: it ends with this process. */
export class Classroom {
  readonly name = `lesson-${randomBytes(3).toString('hex')}`;

  constructor(readonly disaster: Lesson['disaster']) {}

  async open(onLine: (line: string) => void): Promise<Profile> {
    const why = this.#disaster().impossible?.();
    if (why)
      throw new Problem(`This lesson cannot be given here: ${why}.`, {
        next: 'choose another: novamem-runbook train',
      });
    await sandboxUp({ name: this.name, memories: MEMORIES, lives: 'process', onLine });
    this.#placePrograms();
    return sandboxProfile(this.name);
  }

  /** So that its own name calls this program in a shell, whether or not it is installed; and the one that speaks with the graph is there. */
  #placePrograms(): void {
    const folder = binFolder(this.name);
    mkdirSync(folder);
    const place = (name: string, command: string) =>
      writeFileSync(join(folder, name), `#!/bin/sh\n${command}\n`, { mode: 0o755 });
    place('novamem-runbook', `exec ${shellWord(process.execPath)} ${shellWord(PROGRAM)} "$@"`);
    const port = new URL(sceneOf(this.name).profile.falkordb.url).port;
    place('graph-cli', `exec "$(command -v valkey-cli || command -v redis-cli || echo redis-cli)" -p ${port} "$@"`);
  }

  async strike(takeBackup: TakeBackup, onPrepared: () => Promise<unknown>) {
    const disaster = this.#disaster();
    const { id, title, pager, users } = disaster;
    const did = await strike(this.name, disaster, takeBackup, onPrepared);
    return { id, title, did, pager, users };
  }

  #disaster(): Omit<Disaster, 'scenario'> {
    if (typeof this.disaster === 'string') return findDisaster(this.disaster);
    const { shell, did, ...told } = this.disaster;
    const strike = async () => {
      await this.shell(shell);
      return did;
    };
    return { id: 'of-the-lesson', ...told, strike };
  }

  /** Where things are, for a shell: the variables that the commands of a lesson use, and that the stores' own programs go by. */
  environment(): Record<string, string> {
    const { places, cluster, profile } = sceneOf(this.name);
    const { postgres, qdrant, novamem } = cluster;
    const secretOf = (reference: string | undefined) => (reference ? resolveSecret(reference, 'the sandbox') : '');
    return {
      PATH: [binFolder(this.name), process.env.PATH ?? '', ...this.#serverPrograms()].join(delimiter),
      ...lessonVariables(this.name),
      CLUSTER: this.name,
      POSTGRES_DATA: places.postgresData,
      WAL_ARCHIVE: places.walArchive,
      QDRANT_DATA: places.qdrantData,
      FALKORDB_DATA: places.falkordbData,
      BACKUPS: places.backups,
      LOGS: dirname(places.log('postgres')),
      PGHOST: postgres.host,
      PGPORT: String(postgres.port),
      PGUSER: postgres.user,
      PGDATABASE: postgres.database,
      PGPASSWORD: secretOf(profile.postgres.passwordFrom),
      QDRANT_URL: qdrant.address,
      QDRANT_API_KEY: secretOf(profile.qdrant.apiKeyFrom),
      FALKORDB_PORT: new URL(profile.falkordb.url).port,
      REDISCLI_AUTH: secretOf(profile.falkordb.passwordFrom),
      NOVAMEM_URL: novamem!.address,
      NOVAMEM_TOKEN: secretOf(profile.novamem?.tokenFrom),
    };
  }

  /** The folder of initdb and pg_waldump, which is not always among those that a shell looks in. */
  #serverPrograms(): string[] {
    const { postgres } = sceneOf(this.name).profile.services;
    return postgres?.driver === 'process' ? [dirname(postgres.command[0]!)] : [];
  }

  /** Runs a command in a shell, as a lesson's own path has it. What it printed; one that fails is a Problem. */
  async shell(command: string): Promise<string[]> {
    const lines: string[] = [];
    const { exitCode, failure } = await runCommand(
      openGateway(() => {}),
      { file: 'sh', args: ['-ec', command], environment: this.environment() },
      { onLine: (line) => lines.push(line) },
    );
    if (exitCode === 0) return lines;
    throw new Problem(`The command of the lesson failed (${failure || `exit code ${exitCode}`}): ${command}`, {
      safe: lines.join('\n'),
      next: 'mend the lesson',
    });
  }

  predicted(): void {
    notePredicted(this.name);
  }

  remember(): Promise<void> {
    // On a full disk what is short may still fit into a page that is there.
    const long = randomBytes(LONG).toString('hex');
    return remember(sandboxProfile(this.name), [`the lesson is over: ${long}`]);
  }

  close(): Promise<boolean> {
    return sandboxDown(this.name);
  }
}

const binFolder = (name: string): string => join(sceneOf(name).record.folder, 'bin');
