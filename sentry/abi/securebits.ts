/** Secure bits (include/uapi/linux/securebits.h). */
export const SECBIT_NOROOT = 1 << 0;
export const SECBIT_NOROOT_LOCKED = 1 << 1;
export const SECBIT_NO_SETUID_FIXUP = 1 << 2;
export const SECBIT_NO_SETUID_FIXUP_LOCKED = 1 << 3;
export const SECBIT_KEEP_CAPS = 1 << 4;
export const SECBIT_KEEP_CAPS_LOCKED = 1 << 5;
export const SECBIT_NO_CAP_AMBIENT_RAISE = 1 << 6;
export const SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED = 1 << 7;
export const SECBIT_EXEC_RESTRICT_FILE = 1 << 8;
export const SECBIT_EXEC_DENY_INTERACTIVE = 1 << 10;
export const SECURE_ALL_BITS = 0x555;
export const SECURE_ALL_LOCKS = SECURE_ALL_BITS << 1;
/** Bits that only restrict, which everybody may set and lock; the kernel itself does nothing with them. */
export const SECURE_ALL_UNPRIVILEGED = SECBIT_EXEC_RESTRICT_FILE | SECBIT_EXEC_DENY_INTERACTIVE;
