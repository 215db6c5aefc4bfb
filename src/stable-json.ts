/** JSON with sorted keys, so that equal values read the same. */
export const stableJson = (value: unknown): string => JSON.stringify(sorted(value));

function sorted(value: unknown): unknown {
  if (value === null || typeof value !== 'object') return value;
  // A vector has hundreds of numbers, which have no keys.
  if (Array.isArray(value)) return value.every((one) => typeof one === 'number') ? value : value.map(sorted);
  return Object.fromEntries(
    Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, inner]) => [key, sorted(inner)]),
  );
}
