import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { keepSecret } from '../../src/config/redact.js';
import { StepLog } from '../../src/engine/step-log.js';
import { eventually } from '../support/eventually.js';
import { tempFolder } from '../support/temp.js';

const linesOf = (log: StepLog) => readFileSync(log.file, 'utf8').trimEnd().split('\n');

describe('the log of a step', () => {
  test('keeps each of 200,000 lines, in order, with its own time', () => {
    const log = new StepLog(tempFolder('log'), 'restore', () => {});
    const begin = Date.UTC(2026, 10, 21, 2);
    for (let index = 0; index < 200_000; index += 1) log.write(`line ${index}`, new Date(begin + index));
    log.close();
    const lines = linesOf(log);
    expect(lines).toHaveLength(200_000);
    const wrong = lines.findIndex((line, index) => line !== `${new Date(begin + index).toISOString()} line ${index}`);
    expect(wrong).toBe(-1);
  });

  test('lies below the run folder, readable by its owner only', () => {
    const folder = tempFolder('log');
    const log = new StepLog(folder, 'restore', () => {});
    log.close();
    expect(log.file).toBe(join(folder, 'steps', 'restore.log'));
    expect(statSync(log.file).mode & 0o777).toBe(0o600);
    expect(statSync(join(folder, 'steps')).mode & 0o777).toBe(0o700);
  });

  test('writes a single line soon, without being told to', async () => {
    const log = new StepLog(tempFolder('log'), 'restore', () => {});
    log.write('alone');
    await eventually('the line is in the file', () => readFileSync(log.file, 'utf8').endsWith(' alone\n'), 5_000);
    log.close();
  });

  test('is without secrets, and answers the line as it is kept', () => {
    keepSecret('swordfish-77');
    const log = new StepLog(tempFolder('log'), 'restore', () => {});
    const kept = log.write('the password swordfish-77 was refused');
    log.close();
    expect(kept).toBe('the password ‹secret› was refused');
    expect(readFileSync(log.file, 'utf8')).not.toContain('swordfish-77');
  });

  test('gives every line of a text of several lines a time', () => {
    const log = new StepLog(tempFolder('log'), 'restore', () => {});
    log.write('it failed:\nthe first reason\nthe second reason');
    log.close();
    for (const line of linesOf(log)) expect(line).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z /);
  });
});
