import type { Command } from 'commander';
import { EXIT } from '../problem.js';
import { complete } from './command-line/complete.js';
import { namesFor } from './command-line/known-names.js';
import { SHELL_SCRIPTS, type Shell } from './command-line/shell-scripts.js';
import { told } from './print.js';

/** `completion SHELL`: what that shell has to read once. */
export async function completionCommand(shell: Shell): Promise<number> {
  process.stdout.write(SHELL_SCRIPTS[shell]);
  return EXIT.recovered;
}

/** What a shell asks while somebody types: a word a line, a tab, and what it is. */
export async function completeWordsCommand(program: Command, words: string[]): Promise<number> {
  const found = await complete(program, words, namesFor(words[0]));
  process.stdout.write(found.map(({ word, about }) => `${told(word)}\t${told(about)}\n`).join(''));
  return EXIT.recovered;
}
