/** File modes and struct stat (include/uapi/linux/stat.h, arch/x86/include/uapi/asm/stat.h). */
export const S_IFMT = 0o170000;
export const S_IFSOCK = 0o140000;
export const S_IFLNK = 0o120000;
export const S_IFREG = 0o100000;
export const S_IFBLK = 0o060000;
export const S_IFDIR = 0o040000;
export const S_IFCHR = 0o020000;
export const S_IFIFO = 0o010000;
export const S_ISUID = 0o4000;
export const S_ISGID = 0o2000;
export const S_ISVTX = 0o1000;
export const S_IRWXG = 0o070;
export const S_IXGRP = 0o010;
export const S_IWOTH = 0o002;

export const DT_UNKNOWN = 0;
export const DT_FIFO = 1;
export const DT_CHR = 2;
export const DT_DIR = 4;
export const DT_BLK = 6;
export const DT_REG = 8;
export const DT_LNK = 10;
export const DT_SOCK = 12;

/** Directory entry type of a file mode (fs/fs_types.c). */
export function modeToDt(mode: number): number {
  return (mode & S_IFMT) >>> 12;
}
