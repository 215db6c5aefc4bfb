/**
 * A terminal that has no alternate screen, or, as GNU screen does unless it is told otherwise, takes no notice of one: what is drawn
 * there stays, and what was there before is drawn over.
 */
export const hasOneScreenOnly = () =>
  process.env.STY !== undefined || /^(linux|vt\d|cons)/.test(process.env.TERM ?? '');
