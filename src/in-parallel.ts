/**
 * Runs the work for each item, at most `limit` at a time, which may change meanwhile; the first failure stops the taking of further
 * items and is thrown when those under way have ended.
 */
export async function inParallel<T>(
  items: readonly T[],
  limit: number | (() => number),
  work: (item: T) => Promise<void>,
): Promise<void> {
  const limitNow = typeof limit === 'number' ? () => limit : limit;
  const failures: unknown[] = [];
  const active = new Set<Promise<void>>();
  for (let next = 0; next < items.length && failures.length === 0; ) {
    while (next < items.length && active.size < limitNow()) {
      const working: Promise<void> = work(items[next]!)
        .catch((error: unknown) => void failures.push(error))
        .finally(() => active.delete(working));
      active.add(working);
      next += 1;
    }
    await Promise.race(active);
  }
  await Promise.all(active);
  if (failures.length > 0) throw failures[0];
}
