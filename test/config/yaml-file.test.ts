import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { faultLine, faultsOf, readYamlFile } from '../../src/config/yaml-file.js';
import { tempFolder } from '../support/temp.js';

function fileOf(text: string): string {
  const file = join(tempFolder('yaml'), 'file.yaml');
  writeFileSync(file, text);
  return file;
}

const placesOf = (text: string) =>
  readYamlFile(fileOf(text)).faults.map(({ line, column, message }) => ({ line, column, message }));

describe('a YAML file', () => {
  test('is read into plain values', () => {
    expect(readYamlFile(fileOf('a: 1\nlist: [x, "y"]\nanchor: &one {b: 2}\nalias: *one\n')).value).toEqual({
      a: 1,
      list: ['x', 'y'],
      anchor: { b: 2 },
      alias: { b: 2 },
    });
  });

  test('with a key twice is faulty at the second', () => {
    expect(placesOf('a: 1\nb: 2\na: 3\n')).toEqual([
      { line: 3, column: 1, message: expect.stringMatching(/unique/i) },
    ]);
  });

  test('with a bracket that is never closed is faulty, and the message does not repeat the place', () => {
    const [fault] = placesOf('a: 1\nb: [1, 2\n');
    expect(fault?.line).toBeGreaterThanOrEqual(2);
    expect(fault?.message).not.toMatch(/at line/);
  });

  test('whose aliases grow without end is refused instead of filling the memory', () => {
    const levels = Array.from({ length: 12 }, (_, index) =>
      index === 0 ? 'a0: &a0 [x, x, x, x, x, x, x, x, x]' : `a${index}: &a${index} [${`*a${index - 1}, `.repeat(9)}]`,
    );
    expect(placesOf(levels.join('\n'))).toHaveLength(1);
  });

  test('of more than 1 MiB is refused', () => {
    expect(() => readYamlFile(fileOf(`a: ${'x'.repeat(1024 * 1024)}`))).toThrow(/larger than 1 MiB/);
  });
});

describe('what a schema says', () => {
  const schema = z.strictObject({
    name: z.string(),
    nested: z.strictObject({ list: z.array(z.strictObject({ count: z.number() })) }),
  });
  const faults = (text: string) => {
    const yaml = readYamlFile(fileOf(text));
    const parsed = schema.safeParse(yaml.value);
    return parsed.success ? [] : faultsOf(yaml, parsed.error).map((fault) => faultLine({ ...fault, file: 'f' }));
  };

  test('stands at the value, however deep', () => {
    expect(faults('name: x\nnested:\n  list:\n    - count: 1\n    - count: two\n')).toEqual([
      expect.stringMatching(/^f:5:14: nested\.list\.1\.count: expected number/),
    ]);
  });

  test('stands at an unknown key itself', () => {
    expect(faults('name: x\nnested:\n  list:\n    - count: 1\n      colour: red\n')).toEqual([
      'f:5:7: unknown key "colour"',
    ]);
  });

  test('of something missing stands where it should have been', () => {
    expect(faults('name: x\nnested:\n  list:\n    - {}\n')).toEqual([
      expect.stringMatching(/^f:4:7: nested\.list\.0\.count: /),
    ]);
  });

  test('of an empty file stands at its beginning', () => {
    expect(faults('')).toEqual([expect.stringMatching(/^f:1:1: /)]);
  });
});
