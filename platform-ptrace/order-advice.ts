/** Advice by which a guest's thread brings pages in on the host (madvise(2), Linux 5.14). */
const MADV_POPULATE_READ = 22;
const MADV_POPULATE_WRITE = 23;

export function populateAdvice(write: boolean): number {
  return write ? MADV_POPULATE_WRITE : MADV_POPULATE_READ;
}
