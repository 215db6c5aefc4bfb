import { hostname, userInfo } from 'node:os';

/** Who runs this program: `user@host`. */
export const operatorHere = () => `${userInfo().username}@${hostname()}`;
