import { readFileSync } from 'node:fs';
import { isNode, LineCounter, parseDocument } from 'yaml';
import type { z } from 'zod';
import { Problem } from '../problem.js';
import { messageOf } from '../words.js';

/** One fault of a file, with the place an editor can jump to. Lines and columns start at 1. */
export interface Fault {
  file: string;
  line: number;
  column: number;
  message: string;
}

/** `runbooks/mine.yaml:12:5: unknown key "neds"`; a fault at line 0 stands in no file. */
export function faultLine(fault: Fault): string {
  if (fault.line === 0) return `${fault.file}: ${fault.message}`;
  return `${fault.file}:${fault.line}:${fault.column}: ${fault.message}`;
}

type Path = readonly (string | number)[];

/** A YAML file that was read: its plain value, and where in the text each part of it stands. */
export interface YamlFile {
  file: string;
  text: string;
  value: unknown;
  faults: Fault[];
  /** The fault at a path of keys and indexes; at the key itself where `onKey`, else at its value. */
  faultAt(path: Path, message: string, onKey?: boolean): Fault;
}

const LARGEST_FILE = 1024 * 1024;

/** Reads and parses a YAML file of at most 1 MiB, or `largest` bytes. A file that cannot be read is a Problem; one that cannot be parsed has faults. */
export function readYamlFile(file: string, largest = LARGEST_FILE): YamlFile {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    throw new Problem(`Cannot read ${file}: ${messageOf(error)}.`, { next: 'check the path, then try again' });
  }
  return parseYaml(file, text, largest);
}

/** The same of a text that was read already. `file` names it in faults. */
export function parseYaml(file: string, text: string, largest = LARGEST_FILE): YamlFile {
  if (text.length > largest) {
    throw new Problem(
      `${file} is larger than ${Math.round(largest / LARGEST_FILE)} MiB, and so not what it should be.`,
      { next: 'look whether it is the file that you mean, and name that one' },
    );
  }
  const counter = new LineCounter();
  const document = parseDocument(text, { lineCounter: counter, maxAliasCount: 50 } as never);
  const place = (offset: number) => {
    const { line, col } = counter.linePos(offset);
    return { line: Math.max(1, line), column: Math.max(1, col) };
  };
  const faultAt = (path: Path, message: string, onKey = false): Fault => {
    for (let depth = path.length; depth >= 0; depth -= 1) {
      const found = document.getIn(path.slice(0, depth), true);
      if (onKey && depth === path.length && depth > 0) {
        const parent = document.getIn(path.slice(0, -1), true) as {
          items?: { key?: { value?: unknown; range?: number[] } }[];
        };
        const pair = parent?.items?.find((item) => item.key?.value === path.at(-1));
        if (pair?.key?.range) return { file, ...place(pair.key.range[0]!), message };
      }
      if (isNode(found) && found.range) return { file, ...place(found.range[0]), message };
    }
    return { file, line: 1, column: 1, message };
  };
  const faults = document.errors.map((error) => ({
    file,
    ...place(error.pos[0]),
    message: error.message.split('\n')[0]!.replace(/ at line \d+, column \d+:?$/, ''),
  }));
  let value: unknown;
  if (faults.length === 0) {
    try {
      value = document.toJS({ maxAliasCount: 50 });
    } catch (error) {
      faults.push({ file, line: 1, column: 1, message: messageOf(error) });
    }
  }
  return { file, text, value, faults, faultAt };
}

/** What zod says of a value, as faults at their places in the file. `prefix` is where in the file the value stands. */
export function faultsOf(yaml: YamlFile, error: z.ZodError, prefix: Path = []): Fault[] {
  return error.issues.flatMap((issue) => {
    const path = [...prefix, ...(issue.path as (string | number)[])];
    if (issue.code === 'unrecognized_keys') {
      return issue.keys.map((key) => yaml.faultAt([...path, key], `unknown key "${key}"`, true));
    }
    const name = issue.path.length > 0 ? `${issue.path.join('.')}: ` : '';
    return [yaml.faultAt(path, `${name}${issue.message.replace(/^Invalid input: /, '')}`)];
  });
}
