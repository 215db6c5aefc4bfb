import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { filesBelow } from '../../src/hosts/files.js';
import type { ForeignCluster } from './foreign-cluster.js';
import { SECRETS } from './foreign-services.js';
import { type Ended, runProgram, watchCommandLines } from './program.js';

/** What a restore begins with. */
export type Source = 'a set' | 'loose files';

const RUN_PATIENCE = 150_000;

/** Every spelling in which a secret could stand in a text: as it is, in a URL, in a form, in JSON. */
const spellings = Object.values(SECRETS).flatMap((secret) => [
  secret,
  encodeURIComponent(secret),
  encodeURI(secret),
  new URLSearchParams({ of: secret }).toString().slice(3),
  JSON.stringify(secret).slice(1, -1),
]);

const holdsSecret = (text: string) => spellings.some((spelling) => text.includes(spelling));

/** The program on a foreign cluster, with a home of its own in which it records its runs. */
export class ForeignProgram {
  readonly home = mkdtempSync(join(tmpdir(), 'novamem-runbook-home-'));
  readonly #commandLines: string[] = [];

  constructor(readonly cluster: ForeignCluster) {}

  /** Runs the program to its end; meanwhile every command line of the machine is looked at for a secret. */
  async run(...args: string[]): Promise<Ended> {
    const environment = { ...this.cluster.environment, NOVAMEM_RUNBOOK_HOME: this.home };
    const { answer, seen } = await watchCommandLines(Object.values(SECRETS), () =>
      runProgram(args, { environment, timeoutMs: RUN_PATIENCE }),
    );
    this.#commandLines.push(...seen);
    return answer;
  }

  /** `run SCENARIO --headless` with everything that it asks answered beforehand (`step.answer` → answer). */
  recover(
    scenario: string,
    profile: string,
    answers: Record<string, string> = {},
    ...more: string[]
  ): Promise<Ended> {
    return this.run(
      ...['run', scenario, '--headless', '--profile', profile, '--confirm', this.cluster.name],
      ...Object.entries(answers).flatMap(([step, answer]) => ['--set', `${step}=${answer}`]),
      ...more,
    );
  }

  /**
   * A backup of the cluster as it is now, and what names it: a set that the program takes below a root of its own, or loose
   * files that the handbook's plain commands make where no profile knows of them. `postgres`: more for the profile.
   */
  async backUp(
    source: Source,
    postgres: { dataDir?: string; walArchive?: string } = {},
    ...more: string[]
  ): Promise<{ profile: string; named: string[] }> {
    const folder = mkdtempSync(join(this.home, `${source}-`));
    if (source === 'loose files') {
      await this.cluster.backupWithPlainCommands(folder, 'appendonlydir');
      return { profile: this.cluster.profileWith([], postgres), named: ['--backup', folder] };
    }
    const profile = this.cluster.profileWith([folder], postgres);
    const taken = await this.run('run', 'backup', '--headless', '--profile', profile, ...more);
    if (taken.exitCode !== 0) throw new Error(`the backup failed: ${wordsOf(taken)}`);
    return { profile, named: ['--backup', 'latest'] };
  }

  /** Where a secret stands that the program was given: in what it said, in what it wrote, on a command line. */
  async leaks(...ended: Ended[]): Promise<string[]> {
    const written = await filesBelow(this.home);
    if (!written.some((file) => file.endsWith('journal.jsonl'))) throw new Error('no run was recorded');
    return [
      ...(ended.some(({ stdout }) => holdsSecret(stdout)) ? ['stdout'] : []),
      ...(ended.some(({ stderr }) => holdsSecret(stderr)) ? ['stderr'] : []),
      ...written.filter((file) => holdsSecret(readFileSync(join(this.home, file), 'latin1'))),
      ...this.#commandLines,
    ];
  }

  remove(): void {
    rmSync(this.home, { recursive: true, force: true });
  }
}

/** What is shown when an exit code is not the expected one. */
export const wordsOf = ({ stdout, stderr }: Ended) => (stdout + stderr).slice(-6_000);
