/** Limits of System V IPC that kernel.msgmni and the like change, one set per IPC namespace (include/uapi/linux/{msg,sem,shm}.h). */
export class IpcLimits {
  msgmni = 32000;
  msgmax = 8192;
  msgmnb = 16384;
  semmsl = 32000;
  semmns = 1024000000;
  semopm = 500;
  semmni = 32000;
  /** Bytes of one segment. */
  shmmax = SHM_BYTES_MAX;
  /** Pages of all segments. */
  shmall = SHM_BYTES_MAX / 4096;
  shmmni = 4096;
}

/** Segments are memory that no process has to map: however high the limits are set, a namespace gets no more. */
export const SHM_BYTES_MAX = 64 * 1024 * 1024 * 1024;
