import { setFlagsFromString } from 'node:v8';

/**
 * Has this process, from now on, collect garbage sooner instead of taking more memory: for streaming millions of small objects, none of
 * which lives long. Measured in the cross-check of 300,000 memories: no slower, 180 instead of about 270 MiB.
 */
export function keepMemoryFlat(): void {
  // How much larger the room for new objects becomes when it is full, and how much may be added to what lives before it is looked through.
  setFlagsFromString('--semi-space-growth-factor=1');
  setFlagsFromString('--heap-growing-percent=15');
}
