/** Columns of all other systems. */
import type { Column } from './runner.js';

export const columns: readonly Column[] = [];
