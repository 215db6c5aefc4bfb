import { afterEach } from 'vitest';

// A second try must not make anybody forget the first: vitest tells the errors of a test only when its last try fails.
afterEach(({ task }) => {
  if (!task.retry || task.result?.state !== 'fail') return;
  const errors = task.result.errors ?? [];
  console.error(
    `A try of "${task.name}" failed:\n${errors.map(({ stack, message }) => stack ?? message).join('\n')}`,
  );
});
