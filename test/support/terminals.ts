import { afterEach } from 'vitest';
import { ProgramInTerminal } from './terminal.js';

/** A way to open the program in terminals; after each test of the file all that were opened are ended. */
export function terminals(): (...given: ConstructorParameters<typeof ProgramInTerminal>) => ProgramInTerminal {
  const open: ProgramInTerminal[] = [];
  afterEach(() => {
    for (const program of open.splice(0)) program.kill();
  });
  return (...given) => {
    const program = new ProgramInTerminal(...given);
    open.push(program);
    return program;
  };
}
