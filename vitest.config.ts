import './scripts/require-node.cjs';
import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    globalSetup: ['test/build-once.ts', 'test/one-folder.ts'],
    setupFiles: ['test/tell-failed-tries.ts'],
    include: ['test/**/*.test.ts', 'test/**/*.test.tsx'],
    // Whole scenarios over and over, and loops of faults: npm run test:all
    // Measurements want the machine for themselves: npm run perf
    exclude: [
      ...(process.env.LONG ? [] : ['test/**/*.long.test.ts']),
      ...(process.env.PERF ? [] : ['test/**/*.perf.test.ts']),
    ],
    // Bounds for a slow and busy machine: what a test waits for, it asks for again and again.
    testTimeout: 180_000,
    hookTimeout: 180_000,
    // Servers are waited for more than computed with.
    maxWorkers: 4,
    // Tests that only wait for a server that hangs wait side by side.
    maxConcurrency: 12,
    // On a busy machine a test that waits for real servers may miss its moment: it is tried once more there, and the report says so.
    retry: process.env.CI ? 1 : 0,
    // A test that reaches the developer's own settings would pass here and fail there.
    env: { NO_COLOR: '1' },
  },
});
