import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { redact } from '../../src/config/redact.js';
import { resolveSecret } from '../../src/config/secrets.js';
import { Problem } from '../../src/problem.js';
import { tempFolder } from '../support/temp.js';

afterEach(() => vi.unstubAllEnvs());

function file(text: string): string {
  const path = join(tempFolder('secret'), 'password');
  writeFileSync(path, text);
  return `file:${path}`;
}

function problemOf(reference: string): Problem {
  try {
    resolveSecret(reference, 'the Postgres password');
  } catch (error) {
    if (error instanceof Problem) return error;
    throw error;
  }
  throw new Error(`${reference} was resolved`);
}

describe('a reference is resolved', () => {
  test('from a variable', () => {
    vi.stubEnv('NOVAMEM_TEST_PASSWORD', 'from-a-variable');
    expect(resolveSecret('env:NOVAMEM_TEST_PASSWORD', 'it')).toBe('from-a-variable');
  });

  test.each([
    ['with a newline at its end', 'from-a-file\n', 'from-a-file'],
    ['with a newline of Windows', 'from-a-file\r\n', 'from-a-file'],
    ['with two newlines, of which one belongs to it', 'from-a-file\n\n', 'from-a-file\n'],
    ['with spaces, which belong to it', ' from a file ', ' from a file '],
  ])('from a file %s', (_how, text, value) => {
    expect(resolveSecret(file(text), 'it')).toBe(value);
  });

  test('from what a command prints', () => {
    expect(resolveSecret('command:printf "a:b|%s\\n" c | cat', 'it')).toBe('a:b|c');
  });

  test('and is redacted from then on', () => {
    const value = resolveSecret(file('never-to-be-seen'), 'it');
    expect(redact(`the password is ${value}`)).toBe('the password is ‹secret›');
  });
});

describe('a reference that leads nowhere is a problem that says what it was for', () => {
  test.each([
    ['a variable that is not set', 'env:NOVAMEM_TEST_ABSENT', /variable NOVAMEM_TEST_ABSENT, which is not set/],
    ['a file that is absent', 'file:/nowhere/password', /file \/nowhere\/password: ENOENT/],
    ['a command that fails', 'command:echo no vault >&2; exit 3', /it ended with 3: no vault/],
    ['a command that prints nothing', 'command:true', /is empty \(command:true\)/],
  ])('%s', (_what, reference, message) => {
    const problem = problemOf(reference);
    expect(problem.message).toMatch(message);
    expect(problem.message).toMatch(/^the Postgres password/);
    expect(problem.next).not.toBe('');
  });

  test('an empty file', () => {
    expect(problemOf(file('\n')).message).toMatch(/is empty/);
  });
});
