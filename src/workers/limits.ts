/** Each pair of workers has two lanes (exchange.ts). */
export const MOST_WORKERS = 32;
