// Every test of what may go wrong from outside, with KILLS killed rescues (200 unless it is set), and what came of them all.

import process from 'node:process';
import { startVitest } from 'vitest/node';

process.env.LONG = '1';
process.env.KILLS ??= '200';

const ABOUT_FAULTS = [
  'test/faults/',
  'test/engine/journal',
  'test/engine/full-disk',
  'test/engine/record-order',
  'test/engine/cluster-lock',
  'test/engine/late-folder',
  'test/engine/prepare-resume',
  'test/hosts/durable',
];
const chosen = process.argv.slice(2);
const vitest = await startVitest('test', chosen.length > 0 ? chosen : ABOUT_FAULTS, { watch: false });
const modules = vitest.state.getTestModules();
const tests = modules.flatMap((module) => [...module.children.allTests()]);
const broken = modules.filter((module) => module.state() === 'failed' && module.children.size === 0);
const inState = (state) => tests.filter((test) => test.result().state === state);
const tallies = tests.flatMap((test) => test.meta().kills ?? []);
const sum = (count) => tallies.reduce((all, tally) => all + count(tally), 0);
const losses = tallies.flatMap((tally) => tally.losses);
const failed = inState('failed');
const skipped = inState('skipped');
const errors = vitest.state.getUnhandledErrors();

console.log(
  [
    '',
    `Cases   ${tests.length} in ${modules.length} files: ${inState('passed').length} passed, ${failed.length} failed, ${skipped.length} not run here`,
    ...failed.map((test) => `        FAILED ${test.fullName}`),
    ...broken.map((module) => `        FAILED ${module.relativeModuleId}`),
    ...skipped.map((test) => `        not run: ${test.fullName}`),
    `Kills   ${sum((tally) => tally.kills)} in ${sum((tally) => tally.rescues)} rescues: ${sum((tally) => tally.resumed)} resumed, ${sum((tally) => tally.anew)} begun anew, ${sum((tally) => tally.ended)} had ended`,
    `Losses  ${losses.length}`,
    ...losses.map((loss) => `        ${loss}`),
    ...(errors.length > 0 ? [`Errors  ${errors.length} outside of a test`] : []),
  ].join('\n'),
);
await vitest.close();
process.exitCode = failed.length + broken.length + losses.length + errors.length > 0 || tests.length === 0 ? 1 : 0;
