import { useEffect, useState } from 'react';

/** The time: of now when something is drawn, and once a second while it ticks. */
export function useNow(ticking = true): number {
  const [now, setNow] = useState(Date.now());
  useEffect(() => {
    if (!ticking) return;
    const timer = setInterval(() => setNow(Date.now()), 1000);
    return () => clearInterval(timer);
  }, [ticking]);
  return ticking ? now : Date.now();
}
