import { type Profile, SERVICES, type ServiceName } from '../config/profile.js';
import { profileWord } from '../config/profiles.js';
import { redact } from '../config/redact.js';
import { shellWord } from '../hosts/command.js';
import { Problem } from '../problem.js';
import { loadRunbook, scenarios } from '../runbook/library.js';
import type { Overrides } from '../runbook/runbook.js';
import { gapIn } from '../stores/backup-set/backup-set.js';
import { findBackupSet, type ListedSet, listBackupSets } from '../stores/backup-set/find-backup-set.js';
import { type Answering, Cluster } from '../stores/cluster.js';
import { messageOf } from '../words.js';
import { type Diagnosis, diagnose } from './diagnosis.js';
import type { Difference } from './differences.js';
import { type HistoryEntry, history } from './history.js';
import type { Mode } from './journal.js';
import { newestUndoable } from './newer-runs.js';
import { findResumable, prepareResume } from './prepare-resume.js';
import { prepareRun, restores } from './prepare-run.js';
import type { Run } from './run.js';
import { findRun, type RecordedRun } from './runs.js';
import type { RunSnapshot } from './snapshot.js';

/** A scenario as it is offered. */
export interface ScenarioCard {
  scenario: string;
  title: string;
  when: string;
  outcome: string;
  restores: 'no' | 'may' | 'must';
  /** The newest run of it on this cluster that began anything. */
  last?: HistoryEntry;
}

/** A run that has ended. `at`: when. */
export interface PastRun {
  id: string;
  title: string;
  at: Date;
}

/** A backup set as it is offered. `fault`: what is known to be wrong with its files, without reading them or since a plan has read them. */
export type OfferedSet = ListedSet & { fault?: string };

/** What lies on the desk before a run begins. Never changed once published. */
export interface DeskSnapshot {
  cluster: string;
  /** What to give to `--profile` to mean this cluster again, as a shell takes it. */
  profile: string;
  production: boolean;
  mode: Mode;
  /** Undefined while a service is being asked. */
  services: Partial<Record<ServiceName, Answering>>;
  scenarios: ScenarioCard[];
  /** A run on this cluster that was broken off, to go on with. */
  unfinished: PastRun | undefined;
  /** The newest run on this cluster of which something can be put back. */
  undoable: PastRun | undefined;
  /** The newest runs on this cluster, the newest first. */
  history: HistoryEntry[];
  /** The one of them that is being read. */
  looked: RecordedRun | undefined;
  /** Undefined while the cluster is being looked at. */
  diagnosis: Diagnosis | undefined;
  /** Undefined while they are being looked for. */
  backups: OfferedSet[] | undefined;
  opening: boolean;
  /** What kept a run from being opened. */
  problem: string[];
  run: Run | undefined;
}

const RUNS_LISTED = 200;
const LOOK_AGAIN_MS = 5_000;
const DIAGNOSE_AGAIN_MS = 20_000;

/** Looks at the cluster and its backups for the screens, and opens runs for them. */
export class Desk {
  #snapshot: DeskSnapshot;
  #subscribers = new Set<() => void>();
  #cluster: Cluster;
  #looking: NodeJS.Timeout | undefined;
  #diagnosing: NodeJS.Timeout | undefined;
  /** Which diagnosis goes on: one of before publishes nothing, and none follows it. */
  #diagnosis = 0;
  /** Which run is being opened, or was: what comes of one of before is put away. */
  #opening = 0;
  #behind: Run | undefined;
  /** Folder of a backup set → what a plan has found of its files. */
  #faults = new Map<string, string>();
  /** The last run that had begun something and was put away. */
  #putAway: Run | undefined;
  #endings = new Set<(run: Run) => void>();

  constructor(
    readonly profile: Profile,
    readonly overrides: Overrides,
    readonly mode: Mode,
    /** A backup set named on the command line, which is offered first. */
    readonly named: string,
    /** Scenarios and runbook files that are offered besides. */
    besides: readonly string[] = [],
    readonly accept: readonly Difference[] = [],
  ) {
    this.#cluster = new Cluster(profile);
    const past = history({ cluster: profile.name, most: RUNS_LISTED });
    this.#snapshot = {
      cluster: profile.name,
      profile: shellWord(profileWord(profile)),
      production: profile.production,
      mode,
      services: {},
      scenarios: [...new Set([...scenarios(), ...besides])].map((name) => ({
        ...cardOf(name),
        ...lastOf(name, past),
      })),
      history: past,
      looked: undefined,
      ...pastRunsOn(profile.name),
      diagnosis: undefined,
      backups: undefined,
      opening: false,
      problem: [],
      run: undefined,
    };
  }

  subscribe = (onChange: () => void): (() => void) => {
    this.#subscribers.add(onChange);
    return () => this.#subscribers.delete(onChange);
  };

  getSnapshot = (): DeskSnapshot => this.#snapshot;

  /** Asks the services and lists the backup sets, again and again until a run is open. Never blocks the one who asks. */
  look(): void {
    for (const service of SERVICES) {
      if (service === 'novamem' && !this.#cluster.novamem) continue;
      void this.#cluster
        .standing(service)
        .then((answering) => this.#change({ services: { ...this.#snapshot.services, [service]: answering } }));
    }
    void this.#listBackups().then((backups) => this.#change({ backups }));
    this.#looking = setTimeout(() => this.look(), LOOK_AGAIN_MS);
  }

  /** Finds out which scenarios fit, again and again until a run is open. */
  async diagnose(): Promise<void> {
    clearTimeout(this.#diagnosing);
    this.#diagnosis += 1;
    const turn = this.#diagnosis;
    const diagnosis = await diagnose(this.#cluster).catch(() => undefined);
    if (turn !== this.#diagnosis) return;
    this.#change({ diagnosis });
    this.#diagnosing = setTimeout(() => void this.diagnose(), DIAGNOSE_AGAIN_MS);
  }

  stopLooking(): void {
    this.#diagnosis += 1;
    clearTimeout(this.#looking);
    clearTimeout(this.#diagnosing);
  }

  /** The screens are left: a run that is still being opened is put away. */
  leave(): void {
    this.stopLooking();
    this.#opening += 1;
  }

  /** Prepares a run and its preflight. What is missing ends up in `problem`. `backup`: an id, a path or `latest`. */
  open(scenario: string, backup: string, mode = this.mode): Promise<void> {
    return this.show(() =>
      prepareRun({
        scenario,
        profile: this.profile,
        mode,
        backup,
        overrides: this.overrides,
        onFailure: 'ask',
        accept: this.accept,
      }),
    );
  }

  /** Goes on with a run that was broken off. */
  resume(id: string): Promise<void> {
    return this.#takeUp(id, 'go on');
  }

  /** Shows what can be put back of a run that has ended, in the place of the run that is shown. */
  async undo(id: string): Promise<void> {
    this.#behind = this.#snapshot.run;
    this.#change({ run: undefined });
    await this.#takeUp(id, 'undo');
  }

  #takeUp(id: string, purpose: 'go on' | 'undo'): Promise<void> {
    return this.show(() =>
      prepareResume({
        recorded: findRun(id),
        profile: this.profile,
        onFailure: 'ask',
        accept: this.accept,
        takeOver: false,
        purpose,
      }),
    );
  }

  /** Reads a run on record; without an id none is read any more. */
  lookAt(id?: string): void {
    this.#change({ looked: id === undefined ? undefined : findRun(id) });
  }

  /** The run that is shown, or the one in whose place another is being opened; else the last one that had begun something. */
  get lastShown(): Run | undefined {
    return this.#snapshot.run ?? this.#behind ?? this.#putAway;
  }

  /** Tells of each run that was shown and had begun something, once it has ended. */
  onEnded(tell: (run: Run) => void): void {
    this.#endings.add(tell);
  }

  /** What kept a run from being opened was read, or it is not waited for any more. */
  dismiss(): void {
    this.#opening += 1;
    this.#change({ opening: false, problem: [], run: this.#behind });
    this.#behind = undefined;
  }

  /** Shows a run, and has it look at every step. One that was dismissed before it was prepared is put away. */
  async show(prepare: () => Promise<Run>): Promise<void> {
    this.#opening += 1;
    const turn = this.#opening;
    this.#change({ opening: true, problem: [] });
    try {
      const run = await prepare();
      if (turn !== this.#opening) return await run.leave();
      this.stopLooking();
      this.#change({ run, opening: false });
      void run.finished.then(() => {
        if (run.getSnapshot().begun) for (const tell of this.#endings) tell(run);
      });
      await run.preflight();
    } catch (error) {
      if (turn !== this.#opening) return;
      this.#change({
        opening: false,
        problem: (error instanceof Problem ? error.lines() : [messageOf(error)]).map(redact),
      });
    }
  }

  /** Puts a run away: it is aborted when it has not begun. The one in whose place it was shown is shown again. */
  close(): void {
    const shown = this.#snapshot.run;
    shown?.intend({ type: 'abort' });
    if (shown?.getSnapshot().begun) this.#putAway = shown;
    const behind = this.#behind;
    this.#behind = undefined;
    const past = history({ cluster: this.profile.name, most: RUNS_LISTED });
    const scenarios = this.#snapshot.scenarios.map((card) => ({ ...card, ...lastOf(card.scenario, past) }));
    // What was seen before the run is true no more.
    if (shown) this.#noteFaults(shown.getSnapshot());
    const stale = shown?.getSnapshot().begun ? { diagnosis: undefined, services: {} } : {};
    this.#change({ ...stale, run: behind, problem: [], history: past, scenarios, ...pastRunsOn(this.profile.name) });
    if (behind) return;
    this.look();
    void this.diagnose();
  }

  async #listBackups(): Promise<OfferedSet[]> {
    const listed = await this.#listSets();
    return Promise.all(
      listed.map(async (one) => {
        const fault = this.#faults.get(one.folder) ?? ('set' in one ? await gapIn(one.set) : '');
        return fault === '' ? one : { ...one, fault };
      }),
    );
  }

  /** What a plan has found of the files of its backup set. */
  #noteFaults(run: RunSnapshot): void {
    const { backup } = run;
    const folder = this.#snapshot.backups?.find(({ id }) => id === backup?.id)?.folder;
    if (folder === undefined) return;
    const found = run.steps
      .flatMap(({ findings }) => findings)
      .find(({ level, message }) => level === 'blocking' && message.includes(`${folder}/`));
    if (found) this.#faults.set(folder, found.message);
  }

  async #listSets(): Promise<ListedSet[]> {
    const listed = await listBackupSets(this.profile.backups, this.profile.s3).catch(() => []);
    if (this.named === 'latest' || listed.some((one) => one.id === this.named)) return listed;
    const set = await findBackupSet(this.named, this.profile.backups, this.profile.s3).catch(() => undefined);
    return set ? [{ id: set.id, folder: set.folder, set }, ...listed] : listed;
  }

  #change(change: Partial<DeskSnapshot>): void {
    this.#snapshot = { ...this.#snapshot, ...change };
    for (const subscriber of this.#subscribers) subscriber();
  }
}

function pastRunsOn(cluster: string): Pick<DeskSnapshot, 'unfinished' | 'undoable'> {
  return { unfinished: pastRunOf(findResumable(cluster)), undoable: pastRunOf(newestUndoable(cluster)) };
}

function pastRunOf(recorded: RecordedRun | undefined): PastRun | undefined {
  const [first] = recorded?.events ?? [];
  return recorded && first?.type === 'run.started'
    ? { id: recorded.id, title: first.title, at: new Date(recorded.events.at(-1)!.ts) }
    : undefined;
}

function lastOf(scenario: string, past: readonly HistoryEntry[]): Pick<ScenarioCard, 'last'> {
  const last = past.find((one) => one.scenario === scenario && one.begun);
  return last ? { last } : {};
}

function cardOf(scenario: string): ScenarioCard {
  const runbook = loadRunbook(scenario);
  return {
    scenario,
    title: runbook.title,
    when: runbook.when,
    outcome: runbook.outcome,
    restores: restores(runbook),
  };
}
