/** What is left of an address space for those who still know it when its host process carries another one (execve). */
import { EFAULT, ESRCH } from '../abi/errno.ts';
import type { AddressSpace } from './platform.ts';

export const GONE_SPACE: AddressSpace = {
  contexts: 0,
  dead: true,
  pid: 0,
  read: () => -EFAULT,
  write: () => -EFAULT,
  residency: () => -ESRCH,
  ownFutexes: () => false,
  isInterrupting: false,
  hasKeys: false,
  useKeys: () => undefined,
  forgetAnswers: () => undefined,
  destroy: () => undefined,
};
