/** Each pair of workers has two lanes, of half a megabyte each when they are used. */
export const MOST_WORKERS = 32;
