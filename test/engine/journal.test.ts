import { readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { keepSecret } from '../../src/config/redact.js';
import { Journal, readJournal } from '../../src/engine/journal.js';
import { tempFolder } from '../support/temp.js';

function written(count = 6): { file: string; lines: string[] } {
  const journal = Journal.begin('run-1', tempFolder('journal'));
  for (let index = 1; index <= count; index += 1)
    journal.append({ type: 'note', text: `note ${index}`, who: 'somebody' });
  journal.close();
  return { file: journal.file, lines: readFileSync(journal.file, 'utf8').trimEnd().split('\n') };
}

const write = (file: string, lines: string[]) => writeFileSync(file, `${lines.join('\n')}\n`);

describe('a journal', () => {
  test('reads back whole, numbered from 1, with UTC times to the millisecond and the run in every line', () => {
    const { events, fault } = readJournal(written().file);
    expect(fault).toBe('');
    expect(events.map((event) => event.seq)).toEqual([1, 2, 3, 4, 5, 6]);
    for (const event of events) {
      expect(event.ts).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
      expect(event.run).toBe('run-1');
    }
  });

  test('is readable by its owner only', () => {
    expect(statSync(written().file).mode & 0o777).toBe(0o600);
  });

  test('is never begun over one that is there', () => {
    const folder = tempFolder('journal');
    Journal.begin('first', folder).close();
    expect(() => Journal.begin('second', folder)).toThrow(/EEXIST/);
  });

  test('has an event on disk before append answers', () => {
    const journal = Journal.begin('run-1', tempFolder('journal'));
    const event = journal.append({ type: 'note', text: 'before the act', who: 'somebody' });
    expect(readJournal(journal.file).events).toEqual([event]);
    journal.close();
  });

  test('never holds a secret, neither in a value nor in a key', () => {
    const secret = 'k3y-"of"-\\the/house';
    keepSecret(secret);
    const journal = Journal.begin('run-1', tempFolder('journal'));
    journal.append({ type: 'note', text: `the password is ${secret}`, who: 'somebody' });
    journal.append({ type: 'step.facts', step: 'a', facts: { [secret]: [`url?key=${encodeURIComponent(secret)}`] } });
    journal.close();
    const text = readFileSync(journal.file, 'utf8');
    expect(text).not.toContain(JSON.stringify(secret).slice(1, -1));
    expect(text).not.toContain(encodeURIComponent(secret));
    expect(text.match(/‹secret›/g)).toHaveLength(3);
    expect(readJournal(journal.file).fault).toBe('');
  });
});

describe('reading a journal notices', () => {
  test('a changed line, and names it', () => {
    const { file, lines } = written();
    lines[2] = lines[2]!.replace('note 3', 'note X');
    write(file, lines);
    expect(readJournal(file).fault).toMatch(/^line 4 does not follow/);
  });

  test('a missing line', () => {
    const { file, lines } = written();
    lines.splice(2, 1);
    write(file, lines);
    expect(readJournal(file).fault).toMatch(/^line 3 does not follow/);
  });

  test('a missing first line', () => {
    const { file, lines } = written();
    write(file, lines.slice(1));
    expect(readJournal(file).fault).toMatch(/^line 1 does not follow/);
  });

  test('an added line', () => {
    const { file, lines } = written();
    lines.splice(3, 0, lines[2]!);
    write(file, lines);
    expect(readJournal(file).fault).toMatch(/^line 4 does not follow/);
  });

  test('two lines that changed places', () => {
    const { file, lines } = written();
    [lines[1], lines[2]] = [lines[2]!, lines[1]!];
    write(file, lines);
    expect(readJournal(file).fault).toMatch(/^line 2 does not follow/);
  });

  test('a last line that was cut off; everything before it is still read', () => {
    const { file, lines } = written();
    writeFileSync(file, `${lines.slice(0, 5).join('\n')}\n${lines[5]!.slice(0, 40)}`);
    const { events, fault } = readJournal(file);
    expect(fault).toBe('the last line is cut off after 40 bytes');
    expect(events).toHaveLength(5);
  });

  test('one that was cut off at any byte: every line before it is read, and it can be gone on with', () => {
    const { file, lines } = written(2);
    const whole = readFileSync(file);
    const folder = dirname(file);
    for (let bytes = 0; bytes <= whole.length; bytes += 1) {
      rmSync(join(folder, 'journal.seal'));
      writeFileSync(file, whole.subarray(0, bytes));
      const reading = readJournal(file);
      const kept = whole.subarray(0, bytes).toString('utf8').split('\n').length - 1;
      expect([reading.events.length, reading.changed]).toEqual([kept, '']);
      expect(reading.cutOff).toBe(
        bytes -
          Buffer.byteLength(
            lines
              .slice(0, kept)
              .map((line) => `${line}\n`)
              .join(''),
          ),
      );
      const journal = Journal.goOn('run-1', folder, reading);
      journal.append({ type: 'note', text: 'gone on', who: 'somebody' });
      journal.close();
      expect(readJournal(file)).toMatchObject({ fault: '', events: { length: kept + 1 } });
    }
  });

  test('a line that is no JSON', () => {
    const { file, lines } = written();
    lines[3] = 'rubbish';
    write(file, lines);
    const { events, fault } = readJournal(file);
    expect(fault).toBe('line 4 is not JSON');
    expect(events).toHaveLength(3);
  });

  test('a changed last line: it holds the outcome of the run', () => {
    const folder = tempFolder('journal');
    const journal = Journal.begin('run-1', folder);
    journal.append({ type: 'note', text: 'it did not work', who: 'somebody' });
    journal.append({ type: 'run.finished', outcome: 'failed', standing: [], rtoMs: 1, rpoMs: null });
    journal.close();
    const file = join(folder, 'journal.jsonl');
    writeFileSync(file, readFileSync(file, 'utf8').replace('"failed"', '"recovered"'));
    expect(readJournal(file).fault).not.toBe('');
  });
});
