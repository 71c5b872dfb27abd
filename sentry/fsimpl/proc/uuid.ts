/** /proc/sys/kernel/random/{boot_id,uuid}: random version 4 UUIDs. */
import { randomUUID } from 'node:crypto';

export function randomUuid(): string {
  return randomUUID();
}

/** One per boot of the sandbox. */
export const BOOT_ID = randomUUID();
