import { Box } from 'ink';
import { createContext, type ReactNode, useContext } from 'react';

const BehindContext = createContext(false);

/** Whether another view lies over this one: it then takes no key. */
export const useIsBehind = (): boolean => useContext(BehindContext);

/** A view over which another may lie. It stays as it is meanwhile: what was chosen, typed or scrolled to is there afterwards. */
export function Behind({ covered, children }: { covered: boolean; children: ReactNode }) {
  const isBehind = useIsBehind();
  return (
    <BehindContext value={covered || isBehind}>
      <Box flexDirection="column" display={covered ? 'none' : 'flex'}>
        {children}
      </Box>
    </BehindContext>
  );
}
