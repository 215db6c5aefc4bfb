/** What may be another one than was expected, and be accepted all the same. In a file that needs no other: the command line names them. */
export const DIFFERENCES = ['cluster', 'backup', 'runbook', 'run'] as const;
export type Difference = (typeof DIFFERENCES)[number];
