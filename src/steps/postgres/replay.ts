import type { HostFiles } from '../../hosts/host-files.js';
import { steadyNow, waitFor } from '../../hosts/waiting.js';
import { sqlState } from '../../stores/postgres/connection.js';
import type { Course } from '../../stores/postgres/recovery-course.js';
import { explainFatal, type RecoveryWords } from '../../stores/postgres/recovery-log.js';
import { servedBy } from '../../stores/postgres/served-by.js';
import { lsnText, parseLsn, parseSegmentName } from '../../stores/postgres/wal-position.js';
import { durationOf, messageOf } from '../../words.js';
import type { StepContext } from '../step.js';
import type { Emit, RecoveryFacts } from './recovery.js';
import { RecoveryLog } from './recovery-log.js';
import type { Survey } from './recovery-survey.js';
import { filesOf } from './server-files.js';

/** How long a server may need until it is to be seen as a process at all. */
const BIRTH_MS = 5_000;

/**
 * Starts the server and follows it until it has left recovery. That its start command ended well says nothing (T1): it is
 * over when the server is writable, when it died, or when it waits for a person.
 */
export async function replay(
  survey: Survey,
  course: Course,
  facts: RecoveryFacts,
  ctx: StepContext,
  emit: Emit,
  patienceMs: number,
  signal: AbortSignal,
): Promise<RecoveryWords> {
  const { postgres } = ctx.cluster;
  const driver = ctx.cluster.driver('postgres')!;
  const files = filesOf(ctx);
  const log = new RecoveryLog(facts.dataDir, files, driver, emit);
  await log.begin();
  await files.close(ctx.gateway);
  const isReady = async () => (await ctx.cluster.answering('postgres')).answers;
  const dead = async (what: string) => {
    const { fatal } = await log.readService();
    const last = log.lines.at(-1);
    return new Error(`${what}: ${fatal ? explainFatal(fatal) : last ? `its last line: ${last}` : 'it said nothing'}`);
  };
  await driver
    .start(ctx.gateway, { onLine: (line) => emit.output(line), isReady, signal })
    .catch(async (error: Error) => {
      signal.throwIfAborted();
      await log.read();
      throw await dead(`Postgres did not start (${error.message})`);
    });
  const startedAt = steadyNow();
  let seen = '';
  const outcome = await waitFor(
    async () => {
      const words = await log.read();
      const state = await stateOf();
      if (state.kind === 'writable') return { words: await log.read() };
      if (state.kind === 'paused')
        throw new Error(
          'the recovery waits for a person (it is paused, and read-only): a setting on its command line or in a file that is read later wins over recovery_target_action = promote, or its settings are lower than those with which the log was written',
        );
      if (words.fatal !== undefined) throw await dead('the recovery failed');
      const service = await driver.state();
      const isSilent = state.kind === 'silent' && service === 'unknown' && (await isGone(facts.dataDir, files));
      if ((service === 'stopped' || isSilent) && steadyNow() - startedAt > BIRTH_MS)
        throw await dead('Postgres has ended during the recovery');
      tellProgress(survey, course, words, state.kind === 'replaying' ? state.at : undefined, emit);
      if (state.said !== seen) emit.output(`Postgres: ${state.said}`);
      seen = state.said;
      return undefined;
    },
    { timeoutMs: patienceMs, signal },
  );
  if (outcome) {
    emit.output(`Postgres has left recovery after ${durationOf(steadyNow() - startedAt)}`);
    // A server that logs elsewhere all the same has said it there.
    return outcome.words.redoDone === undefined ? log.readService() : outcome.words;
  }
  throw new Error(`the recovery had not ended after ${durationOf(patienceMs)}: ${seen}`);

  async function stateOf(): Promise<State> {
    try {
      const [row] = await postgres.read<{ recovering: boolean; paused: boolean; at: string | null }>(
        `SELECT pg_is_in_recovery() AS recovering,
                CASE WHEN pg_is_in_recovery() THEN pg_is_wal_replay_paused() ELSE false END AS paused,
                pg_last_wal_replay_lsn()::text AS at`,
        [],
        await postgres.maintenanceDatabase(),
      );
      if (!row!.recovering) return { kind: 'writable', said: 'out of recovery' };
      return { kind: row!.paused ? 'paused' : 'replaying', said: 'replaying, read-only', at: row!.at ?? '' };
    } catch (error) {
      // A server that replays refuses clients with a code of its own; only one that is not there has none.
      const speaks = /^[0-9A-Z]{5}$/.test(sqlState(error));
      return { kind: speaks ? 'answering' : 'silent', said: messageOf(error) };
    }
  }
}

/** Where a host cannot be reached for a moment, nothing is known of what runs there. */
const isGone = (dataDir: string, files: HostFiles): Promise<boolean> =>
  servedBy(dataDir, files).then(
    (pid) => pid === undefined,
    () => false,
  );

type State =
  | { kind: 'writable' | 'answering' | 'silent'; said: string }
  | { kind: 'paused' | 'replaying'; said: string; at: string };

function tellProgress(
  { wal }: Survey,
  { base, stop, reach, last }: Course,
  words: RecoveryWords,
  at: string | undefined,
  emit: Emit,
): void {
  const segment = words.restored ? parseSegmentName(words.restored, wal!.segmentBytes) : undefined;
  const position = Math.max(base.startLsn, segment ? segment.number * wal!.segmentBytes : 0, parseLsn(at ?? '') ?? 0);
  const goal = Math.max(stop?.lsn ?? last?.lsn ?? reach.until, base.endLsn);
  emit.progress({
    done: Math.min(position, goal) - base.startLsn,
    total: goal - base.startLsn,
    unit: 'bytes',
    text: `of the log replayed, now at ${lsnText(position)}`,
  });
}
