import './scripts/require-node.cjs';
import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    globalSetup: ['test/build-once.ts'],
    include: ['test/**/*.test.ts', 'test/**/*.test.tsx'],
    // Bounds for a slow and busy machine: what a test waits for, it asks for again and again.
    testTimeout: 180_000,
    hookTimeout: 180_000,
    // Servers are waited for more than computed with.
    maxWorkers: 3,
    // Tests that only wait for a server that hangs wait side by side.
    maxConcurrency: 12,
    // A test that reaches the developer's own settings would pass here and fail there.
    env: { NO_COLOR: '1' },
  },
});
