/** Results of the load functions: 0 is good, the rest say what was wrong. */
export const LOAD_OK = 0;
export const LOAD_TRUNCATED = 1;
export const LOAD_BAD_LENGTH = 2;
export const LOAD_BAD_CHECKSUM = 3;
export const LOAD_BAD_OPTION = 4;
