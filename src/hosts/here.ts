/** Whether a host is this machine, so that its files can be looked at. */
export function isHere(host: string): boolean {
  return ['localhost', '127.0.0.1', '::1', '[::1]'].includes(host) || host.startsWith('/');
}
