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
      ...rows.filter(({ why }) => why).map(({ what, why }) => `- ${what}: ${why}`),
      ...(rows.some(({ why }) => why) ? [''] : []),
    ]),
  ].join('\n');
}
