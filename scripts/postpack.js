import { afterPacking } from './packed.js';

afterPacking();
