import { NotReached } from './reaching.js';

/** What a look at a service's files answers; undefined where nothing runs through which they could be seen. */
export async function seenIn<T>(look: () => Promise<T>): Promise<T | undefined> {
  try {
    return await look();
  } catch (error) {
    if (error instanceof NotReached && error.stopped) return undefined;
    throw error;
  }
}

/** What a look at files answers, or something else where it fails for a reason of its own: not where its host was not reached. */
export async function orElse<T, E>(look: Promise<T>, otherwise: E): Promise<T | E> {
  return look.catch((error: unknown) => {
    if (error instanceof NotReached) throw error;
    return otherwise;
  });
}
