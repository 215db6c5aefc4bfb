/** A value as FalkorDB gives it with `--compact`: what it is, then what it says. Only its maps are without that. */
export type TypedValue = [type: number, value: unknown];

/** https://docs.falkordb.com/design/client-spec.html */
const TYPE = {
  null: 1,
  string: 2,
  integer: 3,
  boolean: 4,
  double: 5,
  array: 6,
  map: 10,
  point: 11,
  vector: 12,
} as const;

/** A text as Cypher reads it: `'it\'s'`. */
export function cypherText(text: string): string {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
}

/** A name of a label, type or property as Cypher reads it. One that holds a backtick cannot be written, and rejects. */
export function cypherName(name: string): string {
  if (name.includes('`')) throw new Error(`the name ${name} holds a backtick, which FalkorDB cannot read`);
  return `\`${name}\``;
}

/** `{a: 1, b: 'x'}` of Cypher, from values that are Cypher already. */
export function cypherMap(values: Readonly<Record<string, string>>): string {
  return `{${Object.entries(values)
    .map(([name, value]) => `${cypherName(name)}: ${value}`)
    .join(', ')}}`;
}

/**
 * A value as Cypher reads it, so that it can be written again: numbers with the 15 digits that FalkorDB tells. Throws for what
 * has no such form (a date, a number beyond 2^53).
 */
export function cypherOf([type, value]: TypedValue): string {
  switch (type) {
    case TYPE.null:
      return 'null';
    case TYPE.string:
      return cypherText(String(value));
    case TYPE.boolean:
      return String(value);
    case TYPE.integer:
      if (Number.isSafeInteger(value)) return String(value);
      break;
    case TYPE.double:
      return doubleOf(value);
    case TYPE.array:
      return `[${(value as TypedValue[]).map(cypherOf).join(', ')}]`;
    case TYPE.map:
      return cypherMap(propertiesOf([type, value]));
    case TYPE.point: {
      const [latitude, longitude] = value as string[];
      return `point({latitude: ${doubleOf(latitude)}, longitude: ${doubleOf(longitude)}})`;
    }
    case TYPE.vector:
      return `vecf32([${(value as string[]).map(doubleOf).join(', ')}])`;
  }
  throw new Error(`a property of type ${type} (${String(value)}) could not be written again`);
}

/** The properties of `properties(…)`, each as Cypher reads it. */
export function propertiesOf([, flat]: TypedValue): Record<string, string> {
  const fields = flat as unknown[];
  return Object.fromEntries(
    Array.from({ length: fields.length / 2 }, (_, index) => [
      String(fields[index * 2]),
      cypherOf(fields[index * 2 + 1] as TypedValue),
    ]),
  );
}

/** A whole number must keep its point: without it, it would come back as an integer. */
function doubleOf(value: unknown): string {
  const text = String(value);
  if (!Number.isFinite(Number(text))) throw new Error(`the number ${text} could not be written again`);
  return /[.e]/.test(text) ? text : `${text}.0`;
}

/** A value that a query can be given. */
export type CypherValue = string | number | null;

/** A value as Cypher reads it back, whatever is in it. */
export function cypherLiteral(value: CypherValue): string {
  if (value === null) return 'NULL';
  if (typeof value === 'string') return cypherText(value);
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
