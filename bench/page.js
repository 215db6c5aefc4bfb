/** docs/performance.md out of what was measured last. */
export function performancePage(results) {
  return [
    '# Performance',
    '',
    'Every figure stands beside its plain counterpart, measured interleaved in one run (`bench/`): `npm run bench`, or one of them with',
    '`npm run bench -- NAME`; `--rounds` for another number of rounds. Figures are medians; a ratio is the median of the ratios of the rounds.',
    '',
    ...Object.entries(results).flatMap(([name, { at, machine, loadBefore, rounds, rows }]) => [
      `## ${name}`,
      '',
      `${at}, ${rounds === 1 ? 'one round' : `${rounds} rounds`}, ${machine}${loadBefore === undefined ? '' : `; load average before it ${loadBefore}`}`,
      '',
      '| what | measured | target | |',
      '|---|---|---|---|',
      ...rows.map(
        ({ what, figure, target, met }) => `| ${what} | ${figure} | ${target} | ${met ? 'met' : 'missed'} |`,
      ),
      '',
      ...[...new Set(rows.map(({ why }) => why))]
        .filter((why) => why)
        .map((why) => `- ${subjects(rows.filter((row) => row.why === why))}: ${why}`),
      ...(rows.some(({ why }) => why) ? [''] : []),
    ]),
  ].join('\n');
}

/** What several rows of one reason are about; all of a measure need no names. */
const subjects = (rows) => (rows.length > 1 ? 'what was missed' : rows[0].what);
