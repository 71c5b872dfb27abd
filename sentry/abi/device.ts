/** Device numbers in the 32-bit form of stat and mknod (include/linux/kdev_t.h new_encode_dev). */
export function makedev(major: number, minor: number): number {
  return ((minor & 0xff) | ((major & 0xfff) << 8) | ((minor & 0xfff00) << 12)) >>> 0;
}

export function major(dev: number): number {
  return (dev >>> 8) & 0xfff;
}

export function minor(dev: number): number {
  return (dev & 0xff) | ((dev >>> 12) & 0xfff00);
}

// Majors (Documentation/admin-guide/devices.txt).
export const UNNAMED_MAJOR = 0;
export const MEM_MAJOR = 1;
export const TTY_MAJOR = 4;
export const TTYAUX_MAJOR = 5;
export const MISC_MAJOR = 10;
export const TUN_MINOR = 200;
/** /dev/fuse */
export const FUSE_MINOR = 229;
export const UNIX98_PTY_SLAVE_MAJOR = 136;
