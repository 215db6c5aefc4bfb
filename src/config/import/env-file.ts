import { readFileSync } from 'node:fs';
import { Problem } from '../../problem.js';
import { messageOf } from '../../words.js';
import { interpolate, type Lookup } from './interpolate.js';

const ASSIGNMENT = /^\s*(?:export\s+)?(?<name>[A-Za-z_][\w.]*)\s*[=:]\s*(?<rest>.*)$/;

/** The variables of a `.env` file, as Docker Compose reads one. `outer` knows variables that are set elsewhere. */
export function readEnvFile(file: string, outer: Lookup = () => undefined): Map<string, string> {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    throw new Problem(`Cannot read ${file}: ${messageOf(error)}.`, { next: 'check the path, then try again' });
  }
  return parseEnv(text, outer);
}

/** The same of its text. A quoted value may have several lines. */
export function parseEnv(text: string, outer: Lookup = () => undefined): Map<string, string> {
  const found = new Map<string, string>();
  const lookup: Lookup = (name) => found.get(name) ?? outer(name);
  const lines = text.replace(/^\uFEFF/, '').split(/\r?\n/);
  for (let at = 0; at < lines.length; at += 1) {
    const { name, rest: begun = '' } = ASSIGNMENT.exec(lines[at]!)?.groups ?? {};
    if (name === undefined) continue;
    let rest = begun;
    const quote = rest[0];
    if (quote === '"' || quote === "'") {
      while (endOf(rest, quote) === -1 && at + 1 < lines.length) {
        at += 1;
        rest += `\n${lines[at]}`;
      }
    }
    found.set(name, valueIn(rest, lookup));
  }
  return found;
}

function valueIn(rest: string, lookup: Lookup): string {
  const quote = rest[0];
  const end = quote === '"' || quote === "'" ? endOf(rest, quote) : -1;
  if (end === -1) return interpolate(rest.replace(/(^|\s)#.*$/, '').trim(), lookup);
  const inner = rest.slice(1, end);
  if (quote === "'") return inner;
  const plain = inner.replace(/\\([nrt"\\])/g, (_, sign: string) => ESCAPES[sign]!);
  return interpolate(plain, lookup);
}

const ESCAPES: Record<string, string> = { n: '\n', r: '\r', t: '\t', '"': '"', '\\': '\\' };

/** Where a quoted text ends; -1 where it does not. */
function endOf(text: string, quote: string): number {
  for (let at = 1; at < text.length; at += 1) {
    if (quote === '"' && text[at] === '\\') at += 1;
    else if (text[at] === quote) return at;
  }
  return -1;
}
