import type { Command, Option } from 'commander';
import { EXIT } from '../../problem.js';

const EXITS: [number, string][] = [
  [EXIT.recovered, 'Recovered; all good.'],
  [EXIT.stepFailed, 'A step failed; what was asked for is not so.'],
  [EXIT.usage, 'Wrong usage, or a configuration that cannot be used.'],
  [EXIT.refused, 'Refused by a guard: nobody confirmed, not this cluster, or somebody else is at work on it.'],
  [EXIT.exceptions, 'Recovered with exceptions: something was skipped.'],
  [EXIT.aborted, 'Aborted by the operator.'],
];

const ENVIRONMENT: [string, string][] = [
  ['NOVAMEM_RUNBOOK_HOME', 'The folder of everything that is kept; otherwise ~/.local/state/novamem-runbook.'],
  ['NOVAMEM_RUNBOOK_SCREEN_READER', 'With 1: as --screen-reader, for good.'],
  ['NO_COLOR', 'Takes all colours away.'],
  ['QDRANT_BIN', 'The Qdrant server of a sandbox, instead of the one that comes along.'],
];

const FILES: [string, string][] = [
  ['runs/RUN/journal.jsonl', 'What happened in a run, one event a line; beside it its reports and step logs.'],
  ['profiles/NAME.yaml', 'Profiles that profile add and profile import-env have written.'],
  ['profiles.json', 'Which profiles are remembered, and which is used when none is named.'],
];

/** The manual page, in roff, out of the command line's own definition. */
export function manPage(program: Command, version: string): string {
  const lines = [
    `.TH NOVAMEM\\-RUNBOOK 1 "" "novamem\\-runbook ${roff(version)}" "User Commands"`,
    '.SH NAME',
    'novamem\\-runbook \\- recover a novamem cluster from the terminal',
    '.SH SYNOPSIS',
    '.B novamem\\-runbook',
    `${roff(program.usage())}`,
    '.SH DESCRIPTION',
    roff(program.description()),
    '.PP',
    'Without a command, in a terminal: what happened? Every step that destroys asks for the name of the cluster.',
    '.SH OPTIONS',
    ...program.options.flatMap(optionLines),
    '.SH COMMANDS',
    ...leaves(program).flatMap(({ path, command }) => [
      '.TP',
      `.B ${roff(`${path} ${argumentsOf(command)}`.trim())}`,
      roff(command.description()),
      ...(command.options.some(({ hidden }) => !hidden)
        ? ['.RS', ...command.options.filter(({ hidden }) => !hidden).flatMap(optionLines), '.RE']
        : []),
    ]),
    '.SH EXIT STATUS',
    ...EXITS.flatMap(([code, means]) => ['.TP', `.B ${code}`, roff(means)]),
    '.SH ENVIRONMENT',
    ...ENVIRONMENT.flatMap(([name, means]) => ['.TP', `.B ${roff(name)}`, roff(means)]),
    '.SH FILES',
    'Below $NOVAMEM_RUNBOOK_HOME:',
    ...FILES.flatMap(([name, means]) => ['.TP', `.I ${roff(name)}`, roff(means)]),
    '.SH SEE ALSO',
    'pg_restore(1), pg_basebackup(1), redis\\-cli(1), curl(1)',
    '',
  ];
  return lines.join('\n');
}

/** Every command that does something, by its whole name. */
function leaves(command: Command, above = ''): { path: string; command: Command }[] {
  const below = command
    .createHelp()
    .visibleCommands(command)
    .filter((one) => one.name() !== 'help');
  return below.flatMap((one) => {
    const path = `${above} ${one.name()}`.trim();
    const inner = leaves(one, path);
    return inner.length > 0 ? inner : [{ path, command: one }];
  });
}

const argumentsOf = (command: Command): string =>
  command.registeredArguments
    .map((one) => `${one.required ? '<' : '['}${one.name()}${one.variadic ? '...' : ''}${one.required ? '>' : ']'}`)
    .join(' ');

const optionLines = (option: Option): string[] => [
  '.TP',
  `.B ${roff(option.flags)}`,
  roff(
    option.description +
      (option.argChoices ? ` (${option.argChoices.join(', ')})` : '') +
      (typeof option.defaultValue === 'string' ? ` (otherwise: ${option.defaultValue})` : ''),
  ),
];

/** Text as roff reads it: no line of it is taken for a request. */
function roff(text: string): string {
  const plain = text
    .replaceAll('\\', '\\e')
    .replaceAll('-', '\\-')
    .replaceAll('’', "'")
    .replaceAll('…', '...')
    .replaceAll('→', '\\(->');
  return /^[.']/.test(plain) ? `\\&${plain}` : plain;
}
