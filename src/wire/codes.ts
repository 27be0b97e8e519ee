/** Results of the load functions: 0 is good, the rest say what was wrong. */
export const LOAD_OK = 0;
/** The bytes end before the headers, or before the length the headers claim. */
export const LOAD_TRUNCATED = 1;
/** A length inside a header is impossible. */
export const LOAD_BAD_LENGTH = 2;
export const LOAD_BAD_CHECKSUM = 3;
export const LOAD_BAD_OPTION = 4;
/** Neither IPv4 nor IPv6. */
export const LOAD_BAD_VERSION = 5;
