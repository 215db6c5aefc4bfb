import { copyFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { DIFFERENCES } from '../../src/engine/differences.js';
import { findLesson, knownTo, LESSON_FOLDER } from '../../src/sandbox/lessons.js';
import { tempFolder } from '../support/temp.js';

const known = knownTo(DIFFERENCES);
const own = join(LESSON_FOLDER, 'first-night.yaml');

test('a file that is called as a lesson on offer would count for that one, and is refused', () => {
  const folder = tempFolder('lessons');
  const [same, another] = [join(folder, 'first-night.yaml'), join(folder, 'second-night.yaml')];
  copyFileSync(own, same);
  copyFileSync(own, another);
  expect(() => findLesson(same, known)).toThrow(/There is another lesson called first-night/);
  expect(findLesson(another, known).id).toBe('second-night');
  expect(findLesson(own, known).id).toBe('first-night');
});
