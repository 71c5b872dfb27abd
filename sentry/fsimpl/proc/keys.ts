/** /proc/keys, /proc/key-users and /proc/sys/kernel/keys: what they show is the key management's (syscalls/keys-text.ts). */
import type { KeyTable } from '../../kernel/keys/key.ts';
import type { Task } from '../../kernel/task.ts';

interface KeyFiles {
  keys: (t: Task) => string;
  users: (t: Task) => string;
  quotas: (t: Task) => Pick<KeyTable, 'quota' | 'rootQuota' | 'gcDelay'>;
}

const NO_QUOTAS = { quota: { maxKeys: 0, maxBytes: 0 }, rootQuota: { maxKeys: 0, maxBytes: 0 }, gcDelay: 0 };

export const keyFiles: KeyFiles = { keys: () => '', users: () => '', quotas: () => NO_QUOTAS };
