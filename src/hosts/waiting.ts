/**
 * Milliseconds since 1970 by a clock that nobody sets while this process runs: for what lasts from one moment to another. The
 * time of day may jump meanwhile.
 */
export const steadyNow = (): number => Math.round(performance.timeOrigin + performance.now());

/** Resolves after `ms`, or rejects at once when the signal aborts. */
export function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(abortReason(signal));
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', stop);
      resolve();
    }, ms);
    const stop = () => {
      clearTimeout(timer);
      reject(abortReason(signal!));
    };
    signal?.addEventListener('abort', stop, { once: true });
  });
}

function abortReason(signal: AbortSignal): Error {
  return signal.reason instanceof Error ? signal.reason : new Error('aborted');
}

/** What the work answers, or an error once `ms` are over: the work itself goes on, and nobody hears of it. */
export async function within<T>(ms: number, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${ms / 1000} s`)), ms);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

/**
 * Asks until the answer is not undefined, at most for `timeoutMs`; answers undefined when the time is over.
 * The pause between two questions grows from 50 ms to `slowest`.
 */
export async function waitFor<T>(
  ask: () => Promise<T | undefined>,
  { timeoutMs, slowest = 500, signal }: { timeoutMs: number; slowest?: number; signal?: AbortSignal },
): Promise<T | undefined> {
  const until = steadyNow() + timeoutMs;
  let pause = 50;
  for (;;) {
    const answer = await ask();
    if (answer !== undefined) return answer;
    if (steadyNow() >= until) return undefined;
    await sleep(Math.min(pause, Math.max(1, until - steadyNow())), signal);
    pause = Math.min(slowest, pause * 1.5);
  }
}
