import { type Profile, SERVICE_TITLES } from '../../config/profile.js';
import { waitFor } from '../../hosts/waiting.js';
import type { Lesson } from '../../runbook/lesson.js';
import { listBackupSets } from '../../stores/backup-set/find-backup-set.js';
import { type Belongings, belongingsOf, withWrittenSince } from '../../stores/belongings.js';
import type { Cluster } from '../../stores/cluster.js';
import { lossBetween } from '../../stores/loss.js';
import { waitingRows } from '../../stores/novamem/embedding-queue.js';
import { messageOf } from '../../words.js';
import { choicesIn } from './choices.js';
import type { TrainingRecord } from './record.js';
import { LOST, recoveryChecks } from './recovery-checks.js';
import { runsOf } from './runs.js';
import { avoidableIn, lossWords } from './score.js';
import { unansweredIn } from './unanswered.js';
import { unsafeIn } from './unsafe.js';
import { tookWrongWay } from './wrong-way.js';

/** What the end of a lesson says of it. */
type Counted = Required<Pick<TrainingRecord, 'loss'>> &
  Pick<
    TrainingRecord,
    | 'checks'
    | 'unsafe'
    | 'runs'
    | 'predictions'
    | 'endedAt'
    | 'givenUp'
    | 'decidedAt'
    | 'recoveredAt'
    | 'wrongWayCost'
  >;

/** As long novamem may still be embedding what waits for a vector; what then has none lacks it. */
const QUEUE_PATIENCE = 30_000;

async function untilEmbedded({ postgres }: Cluster): Promise<void> {
  const nothingWaits = async () => (await waitingRows(postgres, 1).catch(() => [])).length === 0 || undefined;
  await waitFor(nothingWaits, { timeoutMs: QUEUE_PATIENCE });
}

/** What a lesson is measured by: what its cluster held before it was broken, and what is there in the end. */
export class Counting {
  #before: Belongings | undefined;
  #backups: string[] = [];

  /** `remember`: has a user write something down for which room must be found. */
  constructor(
    readonly lesson: Lesson,
    readonly remember: () => Promise<unknown>,
  ) {}

  /** How many there were, with what was written while nobody had noticed. */
  get memories(): number {
    return this.#before?.memories.size ?? 0;
  }

  /** Reads what there is, right before it is broken. Rejects where it cannot be read whole: everything would seem to have been kept. */
  async begin(cluster: Cluster): Promise<void> {
    const found = await belongingsOf(cluster);
    const { memories, unread, vectors, nodes, structure } = found;
    const stores = (['postgres', 'qdrant', 'falkordb'] as const).filter((store) => !structure[store]);
    const silent = [...found.silent, ...stores.map((store) => SERVICE_TITLES[store])];
    if (unread !== '' || silent.length > 0 || memories.size <= Math.max(vectors.lacking.size, nodes.lacking.size))
      throw new Error(
        `what the cluster holds could not be read before it was broken: ${unread || [...new Set(silent)].join(', ') || 'its memories have no vectors, or no nodes'}`,
      );
    this.#before = found;
  }

  /** Reads what was written since, and which backups there are; right after the cluster was broken. */
  async broken(cluster: Cluster, { backups, s3 }: Profile): Promise<void> {
    this.#before = await withWrittenSince(this.#before!, cluster);
    const listed = await listBackupSets(backups, s3).catch(() => []);
    this.#backups = listed.map((one) => one.id);
  }

  /** Counts what came back, and reads out of the journals what was chosen. */
  async end(cluster: Cluster, record: TrainingRecord, how: 'recovered' | 'given up'): Promise<Counted> {
    const endedAt = Date.now();
    if (how === 'recovered') await untilEmbedded(cluster);
    const loss = lossBetween(this.#before!, await belongingsOf(cluster));
    // A cluster that can only be read looks whole: what is written now tells, and is no part of what was counted.
    const remembers = await this.remember().then(
      () => 'yes',
      (error: unknown) => messageOf(error),
    );
    const checks = await recoveryChecks(cluster, loss, record.unavoidable, remembers);
    const { runs, journals } = runsOf(record.cluster, record.pagedAt);
    const choices = journals.flatMap((events) => choicesIn(events, this.#backups) ?? []);
    const unsafe = unsafeIn(this.lesson, choices);
    const wrong = checks.filter(({ ok }) => !ok);
    // What was lost for ever is told where it is counted, and is no reason to keep users out any longer.
    const broken = wrong.filter(({ what }) => what !== LOST);
    if (how === 'recovered' && broken.length > 0)
      unsafe.push({
        what: 'reported it as recovered',
        because: `it was not (${broken.map(({ subject, what, actual }) => `${subject}, ${what}: ${actual}`).join('; ')}), and users were let in`,
        at: endedAt,
      });
    const isWell = wrong.length === 0 && lossWords(avoidableIn(loss, record.unavoidable)) === '';
    const meant = runs.filter(({ isRepair }) => isRepair);
    const byHand = record.shells.find((at) => record.detectedAt !== null && at >= record.detectedAt);
    return {
      loss,
      checks,
      unsafe,
      runs,
      predictions: [...record.predictions, ...unansweredIn(journals, record.predictions)],
      endedAt,
      givenUp: how === 'given up',
      decidedAt: meant[0]?.begunAt ?? byHand ?? (isWell ? endedAt : null),
      recoveredAt: isWell ? endedAt : null,
      ...(how === 'recovered' && tookWrongWay(this.lesson, choices, loss)
        ? { wrongWayCost: this.lesson.wrong.costs }
        : {}),
    };
  }
}
