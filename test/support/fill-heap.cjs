// Loaded into a program that is to run out of memory: once a restore has begun it keeps everything that it is given, and more.

const fs = require('node:fs');

const kept = [];
const { writeSync } = fs;
let hasBegun = false;
fs.writeSync = (descriptor, bytes, ...rest) => {
  hasBegun ||= /"type":"step\.started","step":"restore-/.test(bytes.toString('utf8'));
  return writeSync(descriptor, bytes, ...rest);
};
require('node:module').syncBuiltinESMExports();

setInterval(() => {
  if (hasBegun) kept.push(Array.from({ length: 1_000_000 }, (_, index) => ({ index })));
}, 20).unref();
