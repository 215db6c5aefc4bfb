import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { loadRunbook, RUNBOOK_FOLDER, scenarios } from '../../src/runbook/library.js';
import { type Overrides, readRunbook, runbookJsonSchema, startsBefore } from '../../src/runbook/runbook.js';
import { stepKinds } from '../../src/steps/registry.js';
import { tempFolder } from '../support/temp.js';

const HEAD = 'title: Test\nwhen: now\noutcome: done\nsteps:\n';

function read(text: string, overrides: Overrides = {}) {
  const file = join(tempFolder('runbook'), 'mine.yaml');
  writeFileSync(file, text);
  const { runbook, faults } = readRunbook(file, 'mine', overrides);
  return { runbook, faults: faults.map((fault) => `${fault.line}:${fault.column}: ${fault.message}`), file };
}

const step = (id: string, needs: string[] = [], rest = 'uses: novamem.health') =>
  `  - id: ${id}\n    ${rest}\n    needs: [${needs.join(', ')}]\n    why: because\n`;

describe('a runbook', () => {
  test('has its steps in an order in which each comes after what it needs', () => {
    const { runbook } = read(HEAD + step('c', ['b']) + step('b', ['a']) + step('a'));
    expect(runbook?.steps.map((one) => one.id)).toEqual(['a', 'b', 'c']);
  });

  test('keeps the order in which independent steps are written', () => {
    const { runbook } = read(HEAD + step('z') + step('m') + step('a'));
    expect(runbook?.steps.map((one) => one.id)).toEqual(['z', 'm', 'a']);
  });

  test('gives each step the defaults of its kind, changed by the file and then by --set', () => {
    const { runbook } = read(
      `${HEAD}${step('r', [], 'uses: postgres.restore\n    with: { strategy: swap, jobs: 2 }')}`,
      { r: { jobs: 3 } },
    );
    expect(runbook?.steps[0]?.params).toEqual({
      strategy: 'swap',
      owners: 'keep',
      sessions: 'refuse',
      safetyCopy: 'required',
      jobs: 3,
      patienceSeconds: 120,
    });
  });

  test('keeps what a lesson asks and tells at a step', () => {
    const teach = {
      predict: { ask: 'Green?', options: ['yes', 'no'], answer: 'yes', because: 'so' },
      hints: ['look'],
    };
    const { runbook } = read(`${HEAD}${step('a')}    teach: ${JSON.stringify(teach)}\n${step('b')}`);
    expect(runbook?.steps.map((one) => one.teach)).toEqual([teach, undefined]);
  });

  test('starts a store by starting it, and by replacing what it holds, and only before the step', () => {
    const { runbook } = read(
      HEAD +
        step('qdrant', [], 'uses: service.start\n    with: { service: qdrant }') +
        step('graph', ['qdrant'], 'uses: falkordb.restore') +
        step('check', ['graph'], 'uses: cluster.crosscheck') +
        step('dump', ['check'], 'uses: postgres.backup'),
    );
    const startedBefore = (id: string) =>
      ['qdrant', 'falkordb', 'postgres'].map((one) => startsBefore(runbook!.steps, id, one));
    expect(startedBefore('graph')).toEqual([true, false, false]);
    expect(startedBefore('check')).toEqual([true, true, false]);
    expect(startedBefore('dump')).toEqual([true, true, false]);
  });

  test('has another hash as soon as its text changes', () => {
    const one = read(HEAD + step('a')).runbook!.hash;
    expect(read(HEAD + step('a')).runbook!.hash).toBe(one);
    expect(read(`${HEAD + step('a')}# a word\n`).runbook!.hash).not.toBe(one);
  });
});

describe('a faulty runbook is refused with line and column:', () => {
  test('an unknown key in a step', () => {
    expect(read(`${HEAD}  - id: a\n    uses: novamem.health\n    neds: []\n    why: x\n`).faults).toEqual([
      '7:5: unknown key "neds"',
    ]);
  });

  test.each([
    ['{ way: left }', '7:5: "way" cannot be answered with left; its answers: a, b', '[way]'],
    ['{ way: a }', '7:5: needs must name "way", since it is asked there', '[]'],
    ['{ other: a }', '7:5: "other" is no step that asks', '[other]'],
    ['{ way: a, other: a }', '7:5: one step at most can be asked for', '[way, other]'],
  ])('a condition that cannot be met: %s', (condition, fault, needs) => {
    const options = ['a', 'b'].map((choice) => `{ choice: ${choice}, title: t, because: b }`).join(', ');
    const { faults } = read(
      `${HEAD}  - id: x\n    uses: novamem.health\n    if: ${condition}\n    needs: ${needs}\n    why: x\n${step('other')}${step('way', [], `uses: operator.choose\n    with: { question: q, options: [${options}] }`)}`,
    );
    expect(faults).toContain(fault);
  });

  test('an unknown key at the top', () => {
    expect(read(`titel: x\n${HEAD}${step('a')}`).faults).toEqual(['1:1: unknown key "titel"']);
  });

  test('an unknown kind, with those that are near', () => {
    expect(read(HEAD + step('a', [], 'uses: postgres.restor')).faults).toEqual([
      expect.stringMatching(/^6:11: unknown step kind "postgres\.restor"; known: (postgres\.[a-z-]+(, )?)+$/),
    ]);
  });

  test('a need that is no step', () => {
    expect(read(HEAD + step('a', ['b'])).faults).toEqual(['7:13: needs "b", but there is no such step']);
  });

  test('a step that needs itself', () => {
    expect(read(HEAD + step('a', ['a'])).faults).toEqual(['7:13: "a" needs itself']);
  });

  test('a circle, with everybody in it', () => {
    expect(read(HEAD + step('a', ['c']) + step('b', ['a']) + step('c', ['b']) + step('d')).faults).toEqual([
      '7:5: these steps need each other in a circle: a, b, c',
    ]);
  });

  test('a step id that is used twice', () => {
    expect(read(HEAD + step('a') + step('a')).faults).toEqual(['9:9: the step id "a" is used twice']);
  });

  test('a parameter that the kind does not have', () => {
    expect(read(HEAD + step('a', [], 'uses: postgres.restore\n    with:\n      strategie: swap')).faults).toEqual([
      '8:7: unknown key "strategie"',
    ]);
  });

  test('a parameter with a value that the kind does not know', () => {
    expect(read(HEAD + step('a', [], 'uses: postgres.restore\n    with: { strategy: fast }')).faults).toEqual([
      expect.stringMatching(/^7:23: strategy: .*"clean"\|"swap"/),
    ]);
  });

  test('a parameter that is missing', () => {
    expect(read(HEAD + step('a', [], 'uses: service.stop')).faults).toEqual([
      expect.stringMatching(/^5:5: service: .*"novamem"/),
    ]);
  });

  test('a step without a why', () => {
    expect(read(`${HEAD}  - id: a\n    uses: novamem.health\n`).faults).toEqual([
      expect.stringMatching(/^5:5: steps\.0\.why: /),
    ]);
  });

  test('no steps', () => {
    expect(read(`${HEAD.replace('steps:\n', 'steps: []\n')}`).faults).toEqual([
      '4:8: steps: a runbook has at least one step',
    ]);
  });

  test('an id that could not be a file name', () => {
    expect(read(HEAD + step('../a')).faults).toEqual([expect.stringMatching(/^5:9: steps\.0\.id: /)]);
  });

  test('several faults are all told', () => {
    expect(read(HEAD + step('a', ['x'], 'uses: nothing') + step('b', ['y'])).faults).toHaveLength(3);
  });

  test('--set for a step that is not there', () => {
    expect(read(HEAD + step('a'), { b: { jobs: 3 } }).faults).toEqual([
      expect.stringMatching(/--set names the step "b", which this runbook does not have \(it has: a\)/),
    ]);
  });
});

describe('the runbooks that come with the program', () => {
  test.each(scenarios())('%s can be used', (scenario) => {
    expect(loadRunbook(scenario).steps.length).toBeGreaterThan(0);
  });

  test('offer the taking of a backup last', () => {
    expect(scenarios().slice(-2)).toEqual(['backup', 'drill']);
  });

  test('an unknown scenario is told which there are', () => {
    expect(() => loadRunbook('flood')).toThrow(/no scenario "flood"/);
  });

  test('have a JSON Schema that knows every step kind, and is the one in the repository', () => {
    const schema = JSON.parse(JSON.stringify(runbookJsonSchema()));
    expect(schema.properties.steps.items.properties.uses.enum).toEqual(stepKinds().map((kind) => kind.kind));
    expect(JSON.parse(readFileSync(join(RUNBOOK_FOLDER, 'schema.json'), 'utf8'))).toEqual(schema);
  });
});
