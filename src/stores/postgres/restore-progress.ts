import { countOf } from '../../words.js';
import type { Postgres } from './connection.js';

interface Progress {
  done: number;
  total: number;
  unit: 'rows';
  text: string;
}

/**
 * Follows a running pg_restore: tables that it reports finished, and for those under way the server's own progress views.
 * `rows`: expected rows by `schema.table`. Reports every half second, and at each line that tells something.
 */
export function watchRestore(
  postgres: Postgres,
  database: string,
  rows: Record<string, number>,
  report: (progress: Progress) => void,
): { onLine(line: string): void; say(what: string): void; stop(): void } {
  const total = Object.values(rows).reduce((sum, count) => sum + count, 0);
  const byName = new Map(Object.keys(rows).map((table) => [table.slice(table.indexOf('.') + 1), table]));
  const finished = new Set<string>();
  let underWay = 0;
  let current: string | undefined;
  let text = 'restoring the schema';

  const tell = () => {
    const done = [...finished].reduce((sum, table) => sum + (rows[table] ?? 0), 0);
    report({ done: Math.min(total, done + underWay), total, unit: 'rows', text });
  };
  const finish = (table: string | undefined) => {
    if (table !== undefined) finished.add(table);
    underWay = 0;
  };

  const onLine = (line: string) => {
    const processing = /processing data for table "([^"]+)"/.exec(line)?.[1];
    const done = /finished item \d+ TABLE DATA (.+)$/.exec(line)?.[1];
    const after = /(?:creating|launching item \d+) (INDEX|CONSTRAINT|FK CONSTRAINT|TRIGGER) "?([^"]+)"?/.exec(line);
    if (processing) {
      // One after the other: that the next begins is how the last is known to be finished.
      finish(current);
      current = processing;
      text = `rows of ${processing} (${countOf(rows[processing] ?? 0)})`;
    } else if (done) finish(byName.get(done));
    else if (after) {
      finish(current);
      current = undefined;
      text = `${after[1]!.toLowerCase()} ${after[2]}`;
    } else return;
    tell();
  };

  const poll = setInterval(async () => {
    const copying = await postgres
      .read<{ tuples: string }>(
        'SELECT coalesce(sum(tuples_processed), 0)::text AS tuples FROM pg_stat_progress_copy WHERE datname = $1',
        [database],
        database,
      )
      .catch(() => []);
    underWay = Number(copying[0]?.tuples ?? 0);
    tell();
  }, 500);

  const say = (what: string) => {
    text = what;
    tell();
  };
  return { onLine, say, stop: () => clearInterval(poll) };
}
