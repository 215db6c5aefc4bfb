import { createHash, randomBytes } from 'node:crypto';
import type { Profile } from '../../config/profile.js';
import { redact } from '../../config/redact.js';
import { Problem } from '../../problem.js';
import { type Lesson, ownRunbooks } from '../../runbook/lesson.js';
import type { PredictionText, Teach } from '../../runbook/runbook.js';
import { Cluster } from '../../stores/cluster.js';
import { fileInstantOf, messageOf } from '../../words.js';
import { Desk } from '../desk.js';
import { Publisher } from '../publisher.js';
import { takeBackup, WITH_BASE_BACKUP } from '../take-backup.js';
import { Counting } from './counting.js';
import { keepTraining, type Predicted, type TrainingRecord, trainingFolder } from './record.js';
import { HINT_COSTS, scoreOf } from './score.js';

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
  ): Promise<{ id: string; title: string; did: string[]; pager: string; users: string }>;
  /** Every question of the lesson is answered: what tells the cause need not be withheld any more. */
  predicted(): void;
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

/** A step as its runbook has it. */
type TaughtStep = { id: string; teach?: Teach };

/** One lesson, taken once: its course, from the briefing to the debrief. It knows no screen. */
export class Training {
  readonly #id = `${fileInstantOf(new Date())}-${randomBytes(2).toString('hex')}`;
  readonly #publisher: Publisher<TrainingSnapshot>;
  readonly #counting: Counting;
  #phase: Phase = 'briefing';
  #lines: string[] = [];
  #problem: string[] = [];
  #symptoms = { pager: '', users: '' };
  #record: TrainingRecord | undefined;
  #desk: Desk | undefined;
  #cluster: Cluster | undefined;
  #starting: Promise<void> | undefined;
  #closing: Promise<void> | undefined;

  constructor(
    readonly lesson: Lesson,
    readonly trainee: string,
    readonly stage: Stage,
    /** The program plays it. */
    readonly played?: 'right' | 'wrong',
  ) {
    this.#publisher = new Publisher(() => this.#take());
    this.#counting = new Counting(lesson, () => stage.remember());
  }

  subscribe = (onChange: () => void): (() => void) => this.#publisher.subscribe(onChange);
  getSnapshot = (): TrainingSnapshot => this.#publisher.getSnapshot();

  /** What the tools work on; from the page on. */
  get desk(): Desk | undefined {
    return this.#desk;
  }

  /** Makes the cluster, breaks it, and has the pager go. */
  start(): Promise<void> {
    this.#starting ??= this.#prepare();
    return this.#starting;
  }

  async #prepare(): Promise<void> {
    this.#to('preparing');
    try {
      const profile = await this.stage.open((line) => this.#say(line));
      if (this.#closing) return;
      const cluster = new Cluster(profile);
      this.#cluster = cluster;
      this.#say('what happened on the days before: backups, and people who go on writing');
      const { pager, users, ...disaster } = await this.stage.strike(
        (of, { base }) => takeBackup(of, base ? WITH_BASE_BACKUP : {}, 'train'),
        () => this.#counting.begin(cluster),
      );
      if (this.#closing) return;
      await this.#counting.broken(cluster, profile);
      this.#symptoms = {
        pager: this.lesson.symptoms.pager ?? pager,
        users: this.lesson.symptoms.users ?? users,
      };
      this.#begin(profile, disaster);
    } catch (error) {
      this.#problem = (error instanceof Problem ? error.lines() : [messageOf(error)]).map(redact);
      await this.stage.close().catch(() => {});
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
      memories: this.#counting.memories,
      unavoidable: right.loses,
      checks: [],
      betterPath: right.path,
    };
    this.#desk = new Desk(profile, {}, 'train', 'latest', ownRunbooks(this.lesson));
    this.#desk.look();
    this.#to('paged');
  }

  /** Answers a question of the lesson. The first answer counts. */
  predict(id: string, given: string): void {
    const asked = this.#record?.predictions.find((one) => one.id === id);
    if (!asked || asked.given !== null) return;
    asked.given = given;
    asked.at = Date.now();
    if (this.#phase === 'paged' && this.#open() === undefined) {
      this.#record!.detectedAt = asked.at;
      this.stage.predicted();
      void this.#desk?.diagnose();
      this.#phase = 'recovering';
    }
    this.#publisher.changed(true);
  }

  /** What a step of a runbook has people predict, and what was said to it; undefined where it has nothing. */
  predictionAt(scenario: string, step: TaughtStep): Predicted | undefined {
    const { predict } = step.teach ?? {};
    if (!predict || !this.#record) return undefined;
    const id = `${scenario}.${step.id}`;
    return this.#record.predictions.find((one) => one.id === id) ?? this.#asked(id, predict);
  }

  /** Answers it. One that nobody came to answer is no part of the lesson. */
  predictAt(scenario: string, step: TaughtStep, given: string): void {
    const asked = this.predictionAt(scenario, step);
    if (!asked) return;
    if (asked.given === null) this.#record!.predictions.push(asked);
    this.predict(asked.id, given);
  }

  /** Gives the next hint of the lesson: each is stronger than the one before, and costs more. */
  hint(): void {
    const record = this.#record;
    const costs = this.#nextHint();
    if (!record || costs === undefined) return;
    record.hints.push({ text: this.lesson.hints[record.hints.length]!, costs, at: Date.now() });
    this.#keepUnfinished();
    this.#publisher.changed(true);
  }

  /** A shell was opened. */
  noteShell(): void {
    this.#record?.shells.push(Date.now());
  }

  /** It is recovered, or given up: counts what came back, and gives marks. Where that cannot be done, the lesson goes on, and `problem` says why. */
  async finish(how: 'recovered' | 'given up'): Promise<void> {
    if (this.#phase !== 'recovering' && this.#phase !== 'paged') return;
    const [record, before] = [this.#record!, this.#phase];
    this.#problem = [];
    this.#to('proving');
    this.#desk?.stopLooking();
    try {
      const counted = await this.#counting.end(this.#cluster!, record, how);
      // Whoever has left meanwhile took the cluster away under the counting.
      if (this.#closing) return;
      Object.assign(record, counted);
      record.score = scoreOf(record);
      keepTraining(record);
      this.#to('over');
    } catch (error) {
      this.#problem = [`It could not be counted: ${messageOf(error)}.`].map(redact);
      this.#desk?.look();
      this.#to(before);
    }
  }

  /** Ends what runs, and takes the cluster down, as soon as it is made. What was not finished has no marks, and is kept as left. */
  close(): Promise<unknown> {
    this.#closing ??= this.#end();
    return this.#closing;
  }

  /** What was paid for stays known, also of somebody who leaves, or whose program is killed, and takes the lesson once more. */
  #keepUnfinished(): void {
    if (!this.#record || this.#record.score) return;
    try {
      keepTraining({ ...this.#record, leftAt: Date.now() });
    } catch (error) {
      this.#problem = [`It could not be kept: ${messageOf(error)}.`].map(redact);
    }
  }

  async #end(): Promise<void> {
    this.#keepUnfinished();
    this.#desk?.leave();
    await this.#starting;
    this.#desk?.leave();
    const run = this.#desk?.lastShown;
    run?.intend({ type: 'abort' });
    await run?.finished;
    await this.stage.close().catch((error: unknown) => {
      this.#problem = [`The cluster ${this.#cluster?.name ?? ''} could not be taken down: ${messageOf(error)}.`].map(
        redact,
      );
    });
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
