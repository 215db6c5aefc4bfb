import './require-node.cjs';
import { build } from './built.js';

build();
