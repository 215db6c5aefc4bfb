/** A value that a query can be given. */
export type CypherValue = string | number | null;

/** A value as Cypher reads it back, whatever is in it. */
export function cypherLiteral(value: CypherValue): string {
  if (value === null) return 'NULL';
  if (typeof value === 'string') return `"${value.replace(/[\\"]/g, '\\$&')}"`;
  if (!Number.isFinite(value)) throw new Error(`Cypher has no literal for ${value}`);
  return String(value);
}

/** The head of a query that gives it `rows` as the parameter `$rows`. */
export function withRows(rows: readonly Record<string, CypherValue>[]): string {
  const maps = rows.map(
    (row) =>
      `{${Object.entries(row)
        .map(([name, value]) => `${name}:${cypherLiteral(value)}`)
        .join(',')}}`,
  );
  return `CYPHER rows=[${maps.join(',')}] `;
}
