/** Takes what an event tells of a step's facts into those that are known. */
export function takeFacts(known: Record<string, unknown>, { facts, adds }: { facts: unknown; adds?: true }): void {
  if (!adds) {
    Object.assign(known, facts);
    return;
  }
  for (const [name, entries] of Object.entries(facts as object)) {
    known[name] ??= {};
    Object.assign(known[name] as object, entries);
  }
}
