import { createHash, randomBytes } from 'node:crypto';
import { type Profile, SERVICE_TITLES, SERVICES } from '../../config/profile.js';
import { redact } from '../../config/redact.js';
import { Problem } from '../../problem.js';
import type { Lesson } from '../../runbook/lesson.js';
import type { PredictionText, Teach } from '../../runbook/runbook.js';
import { listBackupSets } from '../../stores/backup-set/find-backup-set.js';
import { type Belongings, belongingsOf, lossBetween, withWrittenSince } from '../../stores/belongings.js';
import { type Check, equal } from '../../stores/check.js';
import { Cluster } from '../../stores/cluster.js';
import { deepHealth, troubleOf } from '../../stores/novamem/deep-health.js';
import { fileInstantOf, messageOf } from '../../words.js';
import { Desk } from '../desk.js';
import { Publisher } from '../publisher.js';
import type { Run } from '../run.js';
import { findRun } from '../runs.js';
import { takeBackup, WITH_BASE_BACKUP } from '../take-backup.js';
import { keepTraining, type Predicted, type TrainingRecord, trainingFolder } from './record.js';
import { HINT_COSTS, scoreOf } from './score.js';
import { unsafeIn } from './unsafe.js';

/** The throw-away cluster of one lesson. */
export interface Stage {
  /** Starts it. */
  open(onLine: (line: string) => void): Promise<Profile>;
  /**
   * Does the damage, after what has to be before it; `onPrepared` is called in between. Answers what was done, a sentence each, and what
   * a pager and users say of it.
   */
  strike(
    takeBackup: (profile: Profile, what: { base: boolean }) => Promise<unknown>,
    onPrepared: () => Promise<unknown>,
  ): Promise<{ title: string; did: string[]; pager: string; users: string }>;
  /** Has a user write something down for which room must be found. */
  remember(): Promise<unknown>;
  /** Takes it down. */
  close(): Promise<unknown>;
}

/**
 * `briefing`: nothing is started. `preparing`: the cluster is made, and broken. `paged`: the symptoms are told, and the predictions are
 * asked. `recovering`: every tool is there. `proving`: what came back is counted. `over`, or `failed`: no lesson could be made of it.
 */
export type Phase = 'briefing' | 'preparing' | 'paged' | 'recovering' | 'proving' | 'over' | 'failed';

/** Never changed once published. */
export interface TrainingSnapshot {
  lesson: Lesson;
  phase: Phase;
  /** What is told while it is prepared. */
  lines: string[];
  /** Why there is no lesson, or what stood in the way of its end. */
  problem: string[];
  pager: string;
  users: string;
  /** Undefined before the pager has gone. */
  record: TrainingRecord | undefined;
  /** The next prediction of the lesson; undefined once all are made. */
  asked: Predicted | undefined;
  /** What the next hint costs; undefined when there is none left. */
  nextHint: number | undefined;
  folder: string;
}

/** One lesson, taken once: it knows what was, what is done, and in the end what is gone. It knows no screen. */
export class Training {
  readonly #id = `${fileInstantOf(new Date())}-${randomBytes(2).toString('hex')}`;
  readonly #publisher: Publisher<TrainingSnapshot>;
  #phase: Phase = 'briefing';
  #lines: string[] = [];
  #problem: string[] = [];
  #symptoms = { pager: '', users: '' };
  #record: TrainingRecord | undefined;
  #desk: Desk | undefined;
  #cluster: Cluster | undefined;
  #before: Belongings | undefined;
  #backups: string[] = [];
  #watched = new Set<Run>();
  #closing: Promise<unknown> | undefined;

  constructor(
    readonly lesson: Lesson,
    readonly trainee: string,
    readonly stage: Stage,
    /** The program plays it. */
    readonly played?: 'right' | 'wrong',
  ) {
    this.#publisher = new Publisher(() => this.#take());
  }

  subscribe = (onChange: () => void): (() => void) => this.#publisher.subscribe(onChange);
  getSnapshot = (): TrainingSnapshot => this.#publisher.getSnapshot();

  /** What the tools work on; from the page on. */
  get desk(): Desk | undefined {
    return this.#desk;
  }

  /** Makes the cluster, breaks it, and has the pager go. */
  async start(): Promise<void> {
    if (this.#phase !== 'briefing') return;
    this.#to('preparing');
    try {
      const profile = await this.stage.open((line) => this.#say(line));
      const cluster = new Cluster(profile);
      this.#cluster = cluster;
      this.#say('what happened on the days before: backups, and people who go on writing');
      const { title, did, pager, users } = await this.stage.strike(
        (of, { base }) => takeBackup(of, base ? WITH_BASE_BACKUP : {}),
        async () => {
          this.#before = await belongingsOf(cluster);
        },
      );
      this.#before = await withWrittenSince(this.#before!, cluster);
      const listed = await listBackupSets(profile.backups).catch(() => []);
      this.#backups = listed.map((one) => one.id);
      this.#symptoms = {
        pager: this.lesson.symptoms.pager ?? pager,
        users: this.lesson.symptoms.users ?? users,
      };
      this.#begin(profile, { id: this.lesson.disaster, title, did });
    } catch (error) {
      this.#problem = (error instanceof Problem ? error.lines() : [messageOf(error)]).map(redact);
      await this.close();
      this.#to('failed');
    }
  }

  #begin(profile: Profile, disaster: TrainingRecord['disaster']): void {
    const { id, title, level, minutes, hash, remember, predict, right } = this.lesson;
    this.#record = {
      id: this.#id,
      lesson: { id, title, level, minutes, hash, remember },
      trainee: this.trainee,
      ...(this.played ? { played: this.played } : {}),
      cluster: profile.name,
      disaster,
      pagedAt: Date.now(),
      detectedAt: null,
      decidedAt: null,
      recoveredAt: null,
      endedAt: null,
      givenUp: false,
      predictions: predict.map((one) => this.#asked(one.id, one)),
      hints: [],
      shells: [],
      runs: [],
      unsafe: [],
      memories: this.#before?.memories.size ?? 0,
      unavoidable: right.loses,
      checks: [],
      betterPath: right.path,
    };
    this.#desk = new Desk(profile, {}, 'train', 'latest');
    this.#desk.subscribe(() => {
      const { run } = this.#desk!.getSnapshot();
      if (run) this.watch(run);
    });
    this.#desk.look();
    this.#to('paged');
  }

  /** Answers a question: of the lesson, or of a step that has asked one. The first answer counts. */
  predict(id: string, given: string): void {
    const asked = this.#record?.predictions.find((one) => one.id === id);
    if (!asked || asked.given !== null) return;
    asked.given = given;
    asked.at = Date.now();
    if (this.#phase === 'paged' && this.#open() === undefined) {
      this.#record!.detectedAt = asked.at;
      void this.#desk?.diagnose();
      this.#phase = 'recovering';
    }
    this.#keep();
  }

  /** What a step of a runbook has people predict; undefined where it has nothing. */
  predictionAt(scenario: string, step: { id: string; teach?: Teach }): Predicted | undefined {
    const { predict } = step.teach ?? {};
    if (!predict || !this.#record) return undefined;
    const id = `${scenario}.${step.id}`;
    const known = this.#record.predictions.find((one) => one.id === id);
    if (known) return known;
    const fresh = this.#asked(id, predict);
    this.#record.predictions.push(fresh);
    return fresh;
  }

  /** Gives the next hint of the lesson: each is stronger than the one before, and costs more. */
  hint(): void {
    const record = this.#record;
    const costs = this.#nextHint();
    if (!record || costs === undefined) return;
    record.hints.push({ text: this.lesson.hints[record.hints.length]!, costs, at: Date.now() });
    this.#keep();
  }

  /** A shell was opened. */
  noteShell(): void {
    this.#record?.shells.push(Date.now());
  }

  /** Follows a run of this lesson. A rehearsal changes nothing, and is no decision. */
  watch(run: Run): void {
    if (this.#watched.has(run) || run.getSnapshot().mode === 'dry-run') return;
    this.#watched.add(run);
    run.subscribe(() => this.#follow(run));
    this.#follow(run);
  }

  #follow(run: Run): void {
    const { run: id, scenario, title, begun, phase, outcome = 'unfinished' } = run.getSnapshot();
    const record = this.#record;
    if (!begun || !record || record.score) return;
    const now = Date.now();
    let entry = record.runs.find((one) => one.id === id);
    if (!entry) {
      entry = { id, scenario, title, begunAt: now, endedAt: null, outcome: 'unfinished' };
      record.runs.push(entry);
      record.decidedAt ??= now;
    }
    if (phase === 'finished' && entry.outcome !== outcome) {
      Object.assign(entry, { endedAt: now, outcome });
      record.recoveredAt = now;
      this.#keep();
    }
  }

  /** It is recovered, or given up: counts what came back, and gives marks. */
  async finish(how: 'recovered' | 'given up'): Promise<void> {
    const record = this.#record;
    const cluster = this.#cluster;
    if (!record || !cluster || this.#phase === 'proving' || this.#phase === 'over') return;
    this.#to('proving');
    this.#desk?.stopLooking();
    const after = await belongingsOf(cluster);
    record.loss = lossBetween(this.#before!, after);
    // A cluster that can only be read looks whole: what is written now tells, and is no part of what was counted.
    const remembers = await this.stage.remember().then(
      () => 'yes',
      (error: unknown) => messageOf(error),
    );
    record.checks = await checksOf(cluster, record, remembers);
    record.unsafe = unsafeIn(
      this.lesson,
      record.runs.map(({ id }) => findRun(id).events),
      this.#backups,
    );
    record.givenUp = how === 'given up';
    record.endedAt = Date.now();
    const wrong = record.checks.filter(({ ok }) => !ok);
    if (how === 'recovered' && wrong.length > 0)
      record.unsafe.push({
        what: 'reported it as recovered',
        because: `it was not (${wrong.map(({ subject, what, actual }) => `${subject}, ${what}: ${actual}`).join('; ')}), and users were let in`,
        at: record.endedAt,
      });
    record.score = scoreOf(record);
    this.#keep();
    this.#to('over');
  }

  /** Takes the cluster down. What was not finished is no lesson that was taken. */
  close(): Promise<unknown> {
    this.#desk?.stopLooking();
    this.#closing ??= this.stage.close();
    return this.#closing;
  }

  /** In each lesson that is taken the options come in another order. */
  #asked(id: string, { ask, options, answer, because }: PredictionText): Predicted {
    const place = (option: string) => createHash('sha256').update(`${this.#id} ${option}`).digest('hex');
    const shuffled = [...options].sort((a, b) => (place(a) < place(b) ? -1 : 1));
    return { id, ask, options: shuffled, given: null, answer, because, at: null };
  }

  #open = (): Predicted | undefined => this.#record?.predictions.find((one) => one.given === null);

  #nextHint = (): number | undefined => HINT_COSTS[this.#record?.hints.length ?? 0];

  #say(line: string): void {
    this.#lines = [...this.#lines, line];
    this.#publisher.changed();
  }

  #keep(): void {
    if (this.#record) keepTraining(this.#record);
    this.#publisher.changed(true);
  }

  #to(phase: Phase): void {
    this.#phase = phase;
    this.#publisher.changed(true);
  }

  #take(): TrainingSnapshot {
    return {
      lesson: this.lesson,
      phase: this.#phase,
      lines: this.#lines,
      problem: this.#problem,
      ...this.#symptoms,
      record: this.#record && structuredClone(this.#record),
      asked: this.#phase === 'paged' ? this.#open() : undefined,
      nextHint: this.#nextHint(),
      folder: this.#record ? trainingFolder(this.#id) : '',
    };
  }
}

/** Whether everything answers, novamem remembers and says that all its parts are well, and each store has what the memories that are left need. */
async function checksOf(
  cluster: Cluster,
  { loss, unavoidable }: TrainingRecord,
  remembers: string,
): Promise<Check[]> {
  const answering = await Promise.all(
    SERVICES.map(async (service) => {
      const { answers, seen } = await cluster.answering(service);
      return equal(SERVICE_TITLES[service], 'answers', 'yes', answers ? 'yes' : seen);
    }),
  );
  const { novamem } = cluster;
  const health = await novamem!.get('/health').then(
    ({ status }) => `HTTP ${status}`,
    (error: unknown) => messageOf(error),
  );
  const deep = await deepHealth(novamem!);
  return [
    ...answering,
    equal('novamem', '/health', 'HTTP 200', health),
    equal('novamem', 'remembers something new', 'yes', remembers),
    equal('novamem', 'its parts', 'all well', deep ? troubleOf(deep) || 'all well' : 'it does not say'),
    equal('Qdrant', 'memories without a vector', unavoidable.vectors, loss?.vectors ?? 0),
    equal('FalkorDB', 'memories without a node', unavoidable.nodes, loss?.nodes ?? 0),
  ];
}
