/** A value as the server's configuration files have it. */
const quoted = (value: string) => `'${value.replaceAll('\\', '\\\\').replaceAll("'", "''")}'`;

/** Settings as lines of postgresql.auto.conf, in the server's own form: it rewrites that file when somebody alters a setting. */
export function settingLines(settings: Record<string, string>): string[] {
  return Object.entries(settings).map(([name, value]) => `${name} = ${quoted(value)}`);
}

const FOREIGN_TARGET = /^\s*recovery_target(?!_timeline|_action|_inclusive)\w*\s*=?/i;

/**
 * The text of postgresql.auto.conf with lines added. Targets of an earlier recovery that still stand there are taken out: the
 * server refuses to start with two.
 */
export function withLines(text: string, lines: readonly string[]): string {
  const kept = text.split('\n').filter((line) => !FOREIGN_TARGET.test(line));
  while (kept.at(-1) === '') kept.pop();
  return [...kept, ...lines, ''].join('\n');
}

/** The text without lines that were added, wherever they stand now. */
export function withoutLines(text: string, lines: readonly string[]): string {
  const added = new Set(lines);
  return text
    .split('\n')
    .filter((line) => !added.has(line))
    .join('\n');
}
