/** Columns of the Windows family. */
import type { Column } from './runner.js';

export const columns: readonly Column[] = [];
