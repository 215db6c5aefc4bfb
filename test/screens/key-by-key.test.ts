import { expect, test } from 'vitest';
import { keysIn } from '../../src/screens/key-by-key.js';

test.each([
  ['\r\r', ['\r', '\r']],
  ['\u001b[A\r', ['\u001b[A', '\r']],
  ['\u001b\u001b[B', ['\u001b', '\u001b[B']],
  ['\u001b\r', ['\u001b', '\r']],
  ['jjq', ['j', 'j', 'q']],
  // Alt with a key is another key.
  ['\u001bs', ['\u001bs']],
  ['\u001bOP\u001b[1;5C\u0003', ['\u001bOP', '\u001b[1;5C', '\u0003']],
  // The rest of a sequence may come later.
  ['a\u001b[1;', ['a', '\u001b[1;']],
  ['\u001b[200~two\r\nlines\u001b[201~x', ['\u001b[200~two\r\nlines\u001b[201~', 'x']],
  ['a text that nobody types in a moment\r', ['a text that nobody types in a moment', '\r']],
])('what came together as %j is the keys %j', (read, keys) => {
  expect(keysIn(read)).toEqual(keys);
});
