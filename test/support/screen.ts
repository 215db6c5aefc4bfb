import { EventEmitter } from 'node:events';
import { PassThrough } from 'node:stream';
import { setImmediate } from 'node:timers/promises';
import { render } from 'ink';
import type { ReactNode } from 'react';
import { keyByKey } from '../../src/screens/key-by-key.js';
import { eventually } from './eventually.js';

export interface TestScreen {
  /** What stands on it now, row by row. */
  text(): string;
  /** Sends keys, once the screen takes them. */
  press(keys: string): void;
  /** Resolves with the text once it has this in it. */
  shows(what: string | RegExp): Promise<string>;
  /** The screens have ended, by themselves or with an error. */
  ended(): boolean;
  close(): void;
}

export const KEYS = { enter: '\r', escape: '\u001b', up: '\u001b[A', down: '\u001b[B' };

/** Screens drawn in this process, on a terminal that only remembers the last picture. */
export function testScreen(screens: ReactNode, { columns = 100, rows = 30 } = {}): TestScreen {
  let last = '';
  let over = false;
  const stdout = Object.assign(new EventEmitter(), {
    columns,
    rows,
    isTTY: true,
    write: (text: string) => {
      last = text;
      return true;
    },
  });
  const stdin = Object.assign(new PassThrough(), {
    isTTY: true,
    setRawMode: () => {},
    ref: () => {},
    unref: () => {},
  });
  const app = render(screens, {
    stdout: stdout as unknown as NodeJS.WriteStream,
    stdin: keyByKey(stdin as unknown as NodeJS.ReadStream),
    // What Ink calls debugging is to write whole frames, one after the other.
    debug: true,
    interactive: true,
    isScreenReaderEnabled: false,
    patchConsole: false,
    exitOnCtrlC: false,
  });
  const end = () => {
    over = true;
  };
  void app.waitUntilExit().then(end, end);
  const has = (what: string | RegExp) => (typeof what === 'string' ? last.includes(what) : what.test(last));
  return {
    text: () => last,
    press: (keys) => void stdin.write(keys),
    shows: async (what) => {
      const text = await eventually(`the screen shows ${what}`, () => (has(what) ? last : undefined));
      // What is drawn takes its keys a turn later.
      await setImmediate();
      return text;
    },
    ended: () => over,
    close: () => app.unmount(),
  };
}
