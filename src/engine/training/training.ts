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
import { takeBackup, WITH_BASE_BACKUP } from '../take-backup.js';
import { keepTraining, type Predicted, type TrainingRecord, trainingFolder } from './record.js';
import { runsOf } from './runs.js';
import { avoidableIn, HINT_COSTS, scoreOf } from './score.js';
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
      const { title, did, pager, users } = await this.stage.strike(
        (of, { base }) => takeBackup(of, base ? WITH_BASE_BACKUP : {}),
        async () => {
          this.#before = await wholeBelongings(cluster);
        },
      );
      if (this.#closing) return;
      this.#before = await withWrittenSince(this.#before!, cluster);
      const listed = await listBackupSets(profile.backups, profile.s3).catch(() => []);
      this.#backups = listed.map((one) => one.id);
      this.#symptoms = {
        pager: this.lesson.symptoms.pager ?? pager,
        users: this.lesson.symptoms.users ?? users,
      };
      this.#begin(profile, { id: this.lesson.disaster, title, did });
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
      memories: this.#before?.memories.size ?? 0,
      unavoidable: right.loses,
      checks: [],
      betterPath: right.path,
    };
    this.#desk = new Desk(profile, {}, 'train', 'latest');
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

  /** It is recovered, or given up: counts what came back, and gives marks. Where that cannot be done, the lesson goes on, and `problem` says why. */
  async finish(how: 'recovered' | 'given up'): Promise<void> {
    if (this.#phase !== 'recovering' && this.#phase !== 'paged') return;
    const [record, before] = [this.#record!, this.#phase];
    this.#problem = [];
    this.#to('proving');
    this.#desk?.stopLooking();
    try {
      const counted = await this.#count(this.#cluster!, record, how);
      // Whoever has left meanwhile took the cluster away under the counting.
      if (this.#closing) return;
      Object.assign(record, counted);
      record.score = scoreOf(record);
      this.#keep();
      this.#to('over');
    } catch (error) {
      this.#problem = [`It could not be counted: ${messageOf(error)}.`].map(redact);
      this.#desk?.look();
      this.#to(before);
    }
  }

  async #count(cluster: Cluster, record: TrainingRecord, how: 'recovered' | 'given up') {
    const loss = lossBetween(this.#before!, await belongingsOf(cluster));
    // A cluster that can only be read looks whole: what is written now tells, and is no part of what was counted.
    const remembers = await this.stage.remember().then(
      () => 'yes',
      (error: unknown) => messageOf(error),
    );
    const checks = await checksOf(cluster, { ...record, loss }, remembers);
    const endedAt = Date.now();
    const { runs, journals } = runsOf(record.cluster, record.pagedAt);
    const unsafe = unsafeIn(this.lesson, journals, this.#backups);
    const wrong = checks.filter(({ ok }) => !ok);
    if (how === 'recovered' && wrong.length > 0)
      unsafe.push({
        what: 'reported it as recovered',
        because: `it was not (${wrong.map(({ subject, what, actual }) => `${subject}, ${what}: ${actual}`).join('; ')}), and users were let in`,
        at: endedAt,
      });
    const meant = runs.filter(({ isRepair }) => isRepair);
    const recovered = meant.filter(({ outcome }) => outcome.startsWith('recovered')).at(-1);
    return {
      loss,
      checks,
      unsafe,
      runs,
      endedAt,
      givenUp: how === 'given up',
      decidedAt: meant[0]?.begunAt ?? (wrong.length === 0 ? endedAt : null),
      // Somebody may have mended it by hand.
      recoveredAt: recovered?.endedAt ?? (wrong.length === 0 ? endedAt : null),
    };
  }

  /** Ends what runs, and takes the cluster down, as soon as it is made. What was not finished is no lesson that was taken. */
  close(): Promise<unknown> {
    this.#closing ??= this.#end();
    return this.#closing;
  }

  async #end(): Promise<void> {
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

/** What the disaster is measured against: where it cannot be read whole, everything would seem to have been kept. */
async function wholeBelongings(cluster: Cluster): Promise<Belongings> {
  const found = await belongingsOf(cluster);
  const { memories, unread, withoutVector, withoutNode } = found;
  if (unread === '' && memories.size > Math.max(withoutVector, withoutNode)) return found;
  throw new Error(`what the cluster holds could not be read before it was broken${unread && `: ${unread}`}`);
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
    equal('Postgres', 'memories that can be read', 'all', loss?.unread ? `not all: ${loss.unread}` : 'all'),
    equal('Postgres', 'memories that were lost without need', 0, loss ? avoidableIn(loss, unavoidable).memories : 0),
    equal('novamem', '/health', 'HTTP 200', health),
    equal('novamem', 'remembers something new', 'yes', remembers),
    equal('novamem', 'its parts', 'all well', deep ? troubleOf(deep) || 'all well' : 'it does not say'),
    equal('Qdrant', 'memories without a vector', unavoidable.vectors, loss?.vectors ?? 0),
    equal('FalkorDB', 'memories without a node', unavoidable.nodes, loss?.nodes ?? 0),
  ];
}
