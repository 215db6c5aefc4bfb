/** How long what was aborted may take to end by itself; then it is not waited for any longer. */
const ABORT_PATIENCE_MS = 15_000;

/** Work that was aborted and is not waited for any longer. */
export class Stuck extends Error {}

/** What a server that hangs never answers is not waited for once the signal is aborted: what it was asked may still come. */
export async function unlessStuck<T>(signal: AbortSignal, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  let wait = () => {};
  const stuck = new Promise<never>((_resolve, reject) => {
    wait = () => {
      timer = setTimeout(
        () =>
          reject(
            new Stuck(
              `it did not end within ${ABORT_PATIENCE_MS / 1000} s: what it has asked of a server may still be done`,
            ),
          ),
        ABORT_PATIENCE_MS,
      );
    };
    if (signal.aborted) wait();
    else signal.addEventListener('abort', wait, { once: true });
  });
  stuck.catch(() => {});
  work.catch(() => {});
  try {
    return await Promise.race([work, stuck]);
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', wait);
  }
}
