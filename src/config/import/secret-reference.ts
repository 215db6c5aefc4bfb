import { readFileSync } from 'node:fs';
import { keepSecret } from '../redact.js';
import { resolveSecret } from '../secrets.js';

/** A variable that was read. */
export interface Variable {
  name: string;
  value: string;
}

/** Where a secret is to be read from, and what a person has to do for that, where there is something. */
export interface SecretReference {
  reference: string;
  todo?: string;
}

/**
 * A reference to a secret that stands in one of the files, as the value of one of the variables or inside a URL that is one: a command
 * that reads it out of the file, so that it stays where it is. It was tried: where no such command gives the very same secret (quotes
 * inside of it, percent signs), it is to come from the environment.
 */
export function referenceTo(
  secret: string,
  files: readonly string[],
  variables: readonly Variable[],
  purpose: string,
): SecretReference {
  keepSecret(secret);
  const own = variables.filter(({ value }) => value === secret);
  const within = variables.filter(({ value }) => value !== secret && value.includes(secret));
  for (const { name } of [...own, ...within])
    for (const file of files)
      for (const command of commandsFor(file, name, secret)) {
        const reference = `command:${command}`;
        if (gives(reference, secret)) return { reference };
      }
  const name = own[0]?.name ?? `NOVAMEM_${purpose.toUpperCase().replace(/\W+/g, '_')}`;
  return {
    reference: `env:${name}`,
    todo: `the ${purpose} could not be referred to where it stands: export it as ${name} before this program is used`,
  };
}

function gives(reference: string, secret: string): boolean {
  try {
    return resolveSecret(reference, 'a secret') === secret;
  } catch {
    return false;
  }
}

/** Before the secret: the variable's name, `=` or `:`, and the beginning of a URL. After it: an end of the value. */
const BEFORE = /(?:^|[\s'"-])(?<name>[A-Za-z_][\w.]*)["']?\s*[=:]\s*["']?(?:[a-z]+:\/\/[^\s:@/]*:)?$/;
const AFTER = /^(?:@.*|["']?\s*(?:#.*)?)$/;

function commandsFor(file: string, name: string, secret: string): string[] {
  const lines = readFileSync(file, 'utf8').split(/\r?\n/);
  return lines.flatMap((line) =>
    placesOf(secret, line).flatMap((at) => {
      const [before, after] = [line.slice(0, at), line.slice(at + secret.length)];
      if (BEFORE.exec(before)?.groups?.name !== name || !AFTER.test(after)) return [];
      // What follows may change: only by what sign the secret ends is said.
      const end = after[0];
      const [value, rest] = end === undefined ? ['.*', ''] : [`[^${end}]*`, `${plain(end)}.*`];
      // The last one counts, as it does in the file.
      return [`sed -n ${quoted(`s/^${plain(before)}\\(${value}\\)${rest}$/\\1/p`)} ${quoted(file)} | tail -n 1`];
    }),
  );
}

/** Where a text stands in another: a password may be the user's name. */
function placesOf(text: string, within: string): number[] {
  const found: number[] = [];
  for (let at = within.indexOf(text); at !== -1; at = within.indexOf(text, at + 1)) found.push(at);
  return found;
}

/** Text as a basic regular expression, in `s/…/…/`. */
const plain = (text: string) => text.replace(/[\\/.*[\]^$]/g, '\\$&');
const quoted = (text: string) => `'${text.replaceAll("'", "'\\''")}'`;
