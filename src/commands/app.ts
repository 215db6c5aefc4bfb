export async function openApp(_: unknown): Promise<number> {
  return 2;
}
