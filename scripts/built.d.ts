export function build(): void;
export function buildIfStale(): void;
