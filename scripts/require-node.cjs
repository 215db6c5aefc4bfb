// Stops with one line on a Node that the dependencies cannot run on. CommonJS and old syntax on purpose: it must run
// on the very Node that it refuses, before anything else is loaded.
'use strict';
var needed = [22, 12];
var found = process.versions.node.split('.').map(Number);
if (found[0] < needed[0] || (found[0] === needed[0] && found[1] < needed[1])) {
  process.stderr.write(
    'novamem-runbook needs Node ' +
      needed.join('.') +
      ' or newer; this is Node ' +
      process.versions.node +
      '. Nothing was started. In a clone of the project use the npm scripts (they bring Node 24): npm start -- --help\n',
  );
  process.exit(2);
}
