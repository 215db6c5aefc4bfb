import type { ProgramInTerminal } from './terminal.js';

/** Waits until the header of this cluster stands in the first row of the window, and in the last a footer that ends with this whole key. */
export async function showsWholeScreen(program: ProgramInTerminal, cluster: string, lastKey: string): Promise<void> {
  const key = lastKey.replace(/[^\w ]/g, '\\$&');
  await program.shows(new RegExp(`^ ${cluster} [\\s\\S]*\\n .*(?:…|\\S) {2}${key}$`));
}
