import './require-node.cjs';
import { build } from './built.js';
import { beforePacking } from './packed.js';

build();
beforePacking();
