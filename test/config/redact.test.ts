import { describe, expect, test } from 'vitest';
import { keepSecret, redact, redactDeep } from '../../src/config/redact.js';

const MASK = '‹secret›';
const SECRET = 'p"a\'s s/w\\o?r+d€';
keepSecret(SECRET);

describe('a secret is removed', () => {
  test.each([
    ['as it is', SECRET],
    ['URL-encoded', encodeURIComponent(SECRET)],
    ['URL-encoded as a whole URL', encodeURI(SECRET)],
    ['form-encoded', new URLSearchParams({ p: SECRET }).toString().slice(2)],
    ['JSON-escaped', JSON.stringify(SECRET).slice(1, -1)],
    ['quoted for SQL', SECRET.replaceAll("'", "''")],
    ['quoted for SQL as a text with backslashes is', SECRET.replaceAll('\\', '\\\\').replaceAll("'", "''")],
    ['quoted for a shell', SECRET.replaceAll("'", "'\\''")],
    ['in base64', Buffer.from(SECRET).toString('base64')],
  ])('%s', (_how, spelling) => {
    expect(redact(`before ${spelling} after`)).toBe(`before ${MASK} after`);
  });

  test('every time it occurs', () => {
    expect(redact(`${SECRET} and ${SECRET}`)).toBe(`${MASK} and ${MASK}`);
  });

  test('whole, when a shorter secret is a part of it', () => {
    keepSecret('short-one');
    keepSecret('a-longer-short-one-here');
    expect(redact('x a-longer-short-one-here y')).toBe(`x ${MASK} y`);
  });

  test('with the signs that mean something in a pattern', () => {
    keepSecret('a.b*c(d)[e]$');
    expect(redact('the key a.b*c(d)[e]$ is')).toBe(`the key ${MASK} is`);
    expect(redact('the key aXb*c(d)[e]$ is')).toBe('the key aXb*c(d)[e]$ is');
  });

  test('from values and keys of a nested value, which is not changed itself', () => {
    keepSecret('nested-secret');
    const value = { list: ['nested-secret', { 'nested-secret': 1 }], at: new Date(0), none: null, count: 7 };
    expect(redactDeep(value)).toEqual({ list: [MASK, { [MASK]: 1 }], at: new Date(0), none: null, count: 7 });
    expect(value.list[0]).toBe('nested-secret');
  });
});

describe('a password in a URL is removed though nobody registered it', () => {
  test.each([
    ['postgres://novamem:pw@db:5432/novamem', `postgres://novamem:${MASK}@db:5432/novamem`],
    ['redis://:pw@graph:6379', `redis://:${MASK}@graph:6379`],
    ['see https://u:p%40w@h/x and http://a:b@c', `see https://u:${MASK}@h/x and http://a:${MASK}@c`],
    ['postgres://novamem:p@ss@db/novamem', `postgres://novamem:${MASK}@db/novamem`],
  ])('%s', (text, kept) => {
    expect(redact(text)).toBe(kept);
  });

  test('and a URL without one stays as it is', () => {
    const text = 'GET http://127.0.0.1:6333/collections by ops@example.com';
    expect(redact(text)).toBe(text);
  });
});

test('a value too short to be told from ordinary text is left alone', () => {
  keepSecret('abc');
  expect(redact('abc of recovery')).toBe('abc of recovery');
});
