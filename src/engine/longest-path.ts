/** The length of the longest chain of needs: steps beside each other take as long as the longest of them. */
export function longestPath(steps: readonly { id: string; needs: readonly string[]; length: number }[]): number {
  const known = new Map<string, number>();
  const until = (id: string): number => {
    const found = known.get(id);
    if (found !== undefined) return found;
    const step = steps.find((one) => one.id === id);
    const end = step ? step.length + Math.max(0, ...step.needs.map(until)) : 0;
    known.set(id, end);
    return end;
  };
  return Math.max(0, ...steps.map((step) => until(step.id)));
}
