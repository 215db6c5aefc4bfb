import { sandboxDown } from './sandbox.js';

// Waits until its parent is gone, which ends the pipe that is this process's standard input, then takes the parent's
// sandbox down. A sandbox that is down already is no error.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => {});
process.stdin.resume();
process.stdin.once('close', () => {
  void sandboxDown(process.argv[2]!, process.argv[3]).finally(() => process.exit(0));
});
