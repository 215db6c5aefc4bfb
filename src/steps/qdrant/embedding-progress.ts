import { sleep } from '../../hosts/waiting.js';
import { inParallel } from '../../in-parallel.js';
import { deepHealth, troubleOf } from '../../stores/novamem/deep-health.js';
import { waitingRows } from '../../stores/novamem/embedding-queue.js';
import { describeMemories } from '../../stores/novamem/memories.js';
import { exactPoints, listCollections } from '../../stores/qdrant/inventory.js';
import { countOf, durationOf, messageOf, plural } from '../../words.js';
import type { StepContext } from '../step.js';
import type { Emitter } from '../step-events.js';

/** How far the re-embedding is, as the stores and novamem tell. */
interface Look {
  /** Memories that still wait for their vector. */
  left: number;
  points: number;
  /** What novamem says is not well; empty where nothing is or where it does not say. */
  trouble: string;
}

interface Expectation {
  /** `endpoint`: the server may take a while until anything is seen to be queued. */
  by: 'endpoint' | 'queue';
  /** The rate to reckon with until one is measured. */
  perMinute: number;
  /** How long nothing may move. */
  stallMs: number;
}

const PAUSE = 1_000;
const RATE_WINDOW = 60_000;

/** Points of all collections, exactly. Rejects when one of them cannot be read. */
export async function countPoints({ qdrant }: StepContext['cluster']): Promise<number> {
  let points = 0;
  await inParallel(await listCollections(qdrant), 4, async (name) => {
    const count = await exactPoints(qdrant, name);
    points += count;
  });
  return points;
}

/**
 * Follows novamem until nothing waits for a vector any more. Tells how many are left, how fast it goes and how long it will
 * take, and says when nothing moves for too long: what was seen, what is safe, what to do.
 */
export async function followEmbeddings(
  ctx: StepContext,
  emit: Emitter<unknown>,
  expectation: Expectation,
  signal: AbortSignal,
): Promise<void> {
  const started = Date.now();
  const samples: { at: number; left: number }[] = [];
  let total = 0;
  let least = Number.POSITIVE_INFINITY;
  let points = -1;
  let movedAt = started;
  let trouble = '';
  let told = 0;
  let ended = 0;
  let refusal = '';
  for (;;) {
    const look = await lookAt(ctx, expectation.by).catch((error: unknown) => {
      if (messageOf(error) !== refusal) emit.output(`how far it is cannot be asked: ${messageOf(error)}`);
      refusal = messageOf(error);
      return undefined;
    });
    const now = Date.now();
    if (look) {
      refusal = '';
      total = Math.max(total, look.left);
      if (look.left < least || look.points > points) movedAt = now;
      least = Math.min(least, look.left);
      points = Math.max(points, look.points);
      if (look.trouble !== trouble)
        emit.output(
          look.trouble ? `novamem says: ${look.trouble}` : 'novamem says that all its parts are well again',
        );
      trouble = look.trouble;
      ended = look.left === 0 ? ended + 1 : 0;
      // What was just asked for may not be queued yet: seen twice, it is over.
      if (ended >= (expectation.by === 'endpoint' ? 2 : 1)) break;
      samples.push({ at: now, left: look.left });
      while (samples.length > 2 && samples[1]!.at < now - RATE_WINDOW) samples.shift();
      const done = total - look.left;
      const pace = paceOf(samples, look.left, expectation.perMinute);
      emit.progress({ done, total, unit: 'rows', text: pace });
      if (Math.floor((done * 10) / total) > told) {
        told = Math.floor((done * 10) / total);
        emit.output(`${countOf(done)} of ${countOf(total)} have their vector again; ${pace}`);
      }
    }
    if (now - movedAt > expectation.stallMs) throw await stalled(ctx, expectation, { total, look, trouble, refusal });
    await sleep(PAUSE, signal);
  }
  if (total === 0) return emit.output('nothing waits for a vector');
  const took = Math.max(1, Date.now() - started);
  emit.progress({ done: total, total, unit: 'rows', text: 'nothing waits for a vector any more' });
  emit.output(
    `${plural(total, 'memory has its', 'memories have their')} vector again after ${durationOf(took)} (about ${countOf(Math.round((total * 60_000) / took))} a minute)`,
  );
}

async function lookAt({ cluster }: StepContext, by: Expectation['by']): Promise<Look> {
  const deep = cluster.novamem && (await deepHealth(cluster.novamem));
  const found = await describeMemories(cluster.postgres);
  if (!found) throw new Error('the table memory_entries is gone');
  const points = await countPoints(cluster);
  const waiting = found.waiting ?? deep?.pending;
  const without = Math.max(0, found.memories - points);
  // What the endpoint does need not be seen in the queue; what is queued by us is.
  const left = by === 'queue' && waiting !== undefined ? waiting : Math.max(waiting ?? 0, without);
  return { left, points, trouble: troubleOf(deep) };
}

/** `about 412 a minute, 3 min 20 s left`; reckoned with the expected rate until one can be measured. */
function paceOf(samples: readonly { at: number; left: number }[], left: number, expected: number): string {
  const [first] = samples;
  const last = samples.at(-1)!;
  const [minutes, done] = [(last.at - first!.at) / 60_000, first!.left - last.left];
  if (minutes < 0.05 || done <= 0)
    return `${durationOf((left / expected) * 60_000)} left if novamem does ${countOf(expected)} a minute`;
  const rate = done / minutes;
  return `about ${countOf(Math.round(rate))} a minute, ${durationOf((left / rate) * 60_000)} left`;
}

async function stalled(
  { cluster }: StepContext,
  { stallMs, by }: Expectation,
  { total, look, trouble, refusal }: { total: number; look: Look | undefined; trouble: string; refusal: string },
): Promise<Error> {
  const waiting = await waitingRows(cluster.postgres, 3).catch((): string[] => []);
  const health = await cluster.answering('novamem');
  const seen = [
    look ? `${countOf(look.left)} of ${countOf(total)} still wait` : refusal,
    ...(waiting.length > 0 ? [`the first: ${waiting.join(', ')}`] : []),
    cluster.novamem ? `novamem ${health.answers ? 'answers' : `does not answer (${health.seen})`}` : '',
    trouble ? `novamem says: ${trouble}` : '',
  ].filter((part) => part !== '');
  const safe =
    by === 'queue'
      ? 'Nothing is lost: the rows stay queued, and novamem goes on by itself once it can'
      : 'Nothing is lost: memories are in Postgres, and what has its vector keeps it';
  return new Error(
    `no memory got its vector for ${durationOf(stallMs)}: ${seen.join('; ')}. ${safe}. Look at novamem's log and its embedder (a novamem that ran when Qdrant was lost must be restarted: it does not make its collections again); then retry, which queues nothing twice`,
  );
}
