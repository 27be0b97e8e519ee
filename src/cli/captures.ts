/** The file of a worker's capture: `out.pcapng` of worker 1 is `out-1.pcapng`. */
export function captureOf(path: string, worker: number): string {
  return path.replace(/(\.[^./]*)?$/, `-${worker}$1`);
}
