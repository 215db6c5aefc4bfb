/** Takes what an event tells of a step's facts into those that are known. The event stays as it is: a replay tells it again. */
export function takeFacts(known: Record<string, unknown>, { facts, adds }: { facts: unknown; adds?: true }): void {
  // A damaged journal may lack them.
  for (const [name, value] of Object.entries(facts ?? {})) {
    if (!adds) known[name] = isRecord(value) ? { ...value } : value;
    else if (isRecord(known[name])) Object.assign(known[name], value);
    else known[name] = { ...value };
  }
}

const isRecord = (value: unknown): value is object =>
  typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === Object.prototype;
