import type { Argument, Command, Option } from 'commander';

/** One word that could stand next, and what it is. */
export interface Candidate {
  word: string;
  about: string;
}

/** Names that only this machine knows (profiles, runs), by what the command line calls their place. */
export type Names = (placeholder: string) => Promise<Candidate[]>;

/** What a shell then completes by itself: files. */
export const FILES: Candidate = { word: ':files', about: '' };

/** Every word that could stand where the last of `words` is being typed, as the command line's own definition has it. */
export async function complete(program: Command, words: readonly string[], names: Names): Promise<Candidate[]> {
  const typed = words.at(-1) ?? '';
  let command = program;
  let position = 0;
  let waiting: Option | undefined;
  for (const word of words.slice(0, -1)) {
    if (waiting) {
      waiting = undefined;
      continue;
    }
    if (word.startsWith('-')) {
      const option = optionsOf(command).find((one) => one.short === word || one.long === word);
      if (option && (option.required || option.optional)) waiting = option;
      continue;
    }
    const below = position === 0 ? command.commands.find((one) => one.name() === word) : undefined;
    if (below) command = below;
    else position += 1;
  }
  const all = waiting
    ? await valuesOf(waiting.argChoices, placeholderOf(waiting.flags), names)
    : typed.startsWith('-')
      ? optionsOf(command)
          .filter((one) => !one.hidden)
          .map((one) => ({ word: one.long ?? one.short ?? '', about: one.description }))
      : await wordsOf(command, position, names);
  return all.filter((one) => one === FILES || one.word.startsWith(typed));
}

/** Options of a command, and those of the whole program, which may stand behind any. */
function optionsOf(command: Command): Option[] {
  const own = [...command.options];
  for (let above = command.parent; above; above = above.parent)
    for (const option of above.options) if (!own.some((one) => one.long === option.long)) own.push(option);
  return [
    ...own,
    ...command
      .createHelp()
      .visibleOptions(command)
      .filter((one) => one.long === '--help'),
  ];
}

async function wordsOf(command: Command, position: number, names: Names): Promise<Candidate[]> {
  const argument = argumentAt(command, position);
  const values = argument ? await valuesOf(argument.argChoices, argument.name(), names) : [];
  const below = position === 0 ? command.createHelp().visibleCommands(command) : [];
  return [...below.map((one) => ({ word: one.name(), about: one.description() })), ...values];
}

function argumentAt(command: Command, position: number): Argument | undefined {
  const all = command.registeredArguments;
  const last = all.at(-1);
  return all[position] ?? (last?.variadic ? last : undefined);
}

async function valuesOf(
  choices: readonly string[] | undefined,
  placeholder: string,
  names: Names,
): Promise<Candidate[]> {
  if (choices) return choices.map((word) => ({ word, about: '' }));
  const found = await names(placeholder).catch(() => []);
  return /file|folder|path/.test(placeholder) ? [...found, FILES] : found;
}

/** `-p, --profile <name|file>` → `name|file` */
const placeholderOf = (flags: string): string => /[<[]([^>\]]+)[>\]]/.exec(flags)?.[1]?.replace('...', '') ?? '';
