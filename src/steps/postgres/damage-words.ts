import { type Damage, type Extent, extentOf } from '../../stores/postgres/damage.js';
import { lostText, type TableDamage } from '../../stores/postgres/readable-rows.js';
import { countOf, plural } from '../../words.js';

// What an examination of Postgres found, in words.

export const isDamaged = (damage: Damage) => Object.values(extentOf(damage)).some(Boolean);

/** One sentence: what is damaged, and how much can still be read. */
export function damageSummary(damage: Damage): string {
  if (damage.database === 'absent') return 'there is no database to examine';
  if (damage.database === 'closed') return `the server lets nobody in: ${damage.refusal}`;
  if (damage.database === 'refused') return `the database lets nobody in: ${damage.refusal}`;
  if (!isDamaged(damage)) return `no damage was found; ${rowsText(damage)}`;
  const rows = damage.tables.filter((one) => one.lost.length > 0).map((one) => one.table);
  // What is no table of novamem's can be told by its file only.
  const others = damage.files.filter((file) => !damage.tables.some((one) => file.what.endsWith(` ${one.table}`)));
  const said = [
    rows.length > 0 ? `${plural(rows.length, 'table')} (${few(rows)}) with rows that cannot be read` : '',
    others.length > 0 ? `${few(others.map((one) => one.what))} with damaged pages` : '',
    damage.amcheck.length > 0 ? `${plural(damage.amcheck.length, 'finding')} of pg_amcheck` : '',
  ].filter((part) => part !== '');
  return `damaged: ${said.join('; ') || extentText(extentOf(damage))}; ${rowsText(damage)}`;
}

const rowsText = ({ rows }: Damage) =>
  `${countOf(rows.readable)} of about ${countOf(Math.max(rows.readable, rows.expected))} rows can be read`;

function extentText(extent: Extent): string {
  return Object.entries(extent)
    .flatMap(([what, is]) => (is ? [what] : []))
    .join(', ');
}

/** Everything that was found, a line each. */
export function damageLines(damage: Damage): string[] {
  const { looked, checksums, checksumFailures } = damage;
  const failures = Object.entries(checksumFailures).map(([name, count]) => `${name} ${count}`);
  return [
    `Postgres ${damage.serverVersion || '(version unknown)'}; data checksums ${checksums ? 'on' : 'OFF: a page with altered content shows in no error'}`,
    ...(failures.length > 0
      ? [
          `checksum failures that the server has counted, one for each reading of a damaged page: ${failures.join(', ')}`,
        ]
      : []),
    `looked at ${countOf(looked.tables)} of ${plural(looked.ofTables, 'table')} row by row, at ${countOf(looked.files)} of ${plural(looked.ofFiles, 'file')} page by page`,
    ...[...damage.tables, ...damage.catalogs].flatMap(tableLines),
    ...damage.files.flatMap((file) => file.faults.map((fault) => `${file.what} (${file.path}): ${fault}`)),
    ...damage.amcheck.map((line) => `pg_amcheck: ${line}`),
    ...damage.notLooked.map(({ what }) => `not looked at: ${what}`),
    damageSummary(damage),
  ];
}

function tableLines({ table, rows, expectedRows, lost, missingBlocks, blocks }: TableDamage): string[] {
  const of = expectedRows === undefined ? '' : ` of about ${countOf(expectedRows)}`;
  return [
    `${table}: ${countOf(rows)}${of} rows can be read`,
    ...lost.map((part) => `${table}: ${lostText(part)} cannot be read: ${part.why}`),
    ...(missingBlocks > 0
      ? [
          `${table}: its file has ${plural(blocks, 'block')}, ${countOf(missingBlocks)} fewer than when it was last analyzed: it was cut off`,
        ]
      : []),
  ];
}

export const few = (names: readonly string[]) =>
  names.length <= 3 ? names.join(', ') : `${names.slice(0, 3).join(', ')} and ${names.length - 3} more`;
