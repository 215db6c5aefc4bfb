import { expect, test } from 'vitest';
import { takeFacts } from '../../src/engine/take-facts.js';

test('what adds comes to the entries that are there, and leaves every other fact as it is', () => {
  const known: Record<string, unknown> = {};
  takeFacts(known, { facts: { done: { a: 1 }, file: 'x' } });
  takeFacts(known, { facts: { done: { b: 2 } }, adds: true });
  expect(known).toEqual({ done: { a: 1, b: 2 }, file: 'x' });
});

test('an event that was told before stays what it was', () => {
  const told = { facts: { done: { a: 1 } } };
  const known: Record<string, unknown> = {};
  takeFacts(known, told);
  takeFacts(known, { facts: { done: { b: 2 } }, adds: true });
  expect(told).toEqual({ facts: { done: { a: 1 } } });
});

test('what does not add takes the place of what is there', () => {
  const known: Record<string, unknown> = { done: { a: 1 } };
  takeFacts(known, { facts: { done: { b: 2 } } });
  expect(known).toEqual({ done: { b: 2 } });
});
