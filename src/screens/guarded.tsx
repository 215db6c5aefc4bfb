import { useApp } from 'ink';
import { Component, type ReactNode, useEffect } from 'react';

/** Whatever error nobody has caught ends the screens with it: it is told where the terminal is a person's own again. */
export function Guarded({ children }: { children: ReactNode }) {
  const { exit } = useApp();
  const end = (error: unknown) => exit(error instanceof Error ? error : new Error(String(error)));
  useEffect(() => {
    process.on('uncaughtException', end);
    return () => {
      process.off('uncaughtException', end);
    };
  });
  return <Boundary onError={end}>{children}</Boundary>;
}

class Boundary extends Component<{ onError: (error: unknown) => void; children: ReactNode }, { failed: boolean }> {
  static getDerivedStateFromError = () => ({ failed: true });
  override state = { failed: false };

  override componentDidCatch(error: unknown): void {
    this.props.onError(error);
  }

  override render(): ReactNode {
    return this.state.failed ? null : this.props.children;
  }
}
