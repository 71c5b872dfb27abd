/** Pathnames of AF_UNIX sockets: the node that bind(2) makes and the look-up of connect(2) (net/unix/af_unix.c). */
import { ECONNREFUSED } from '../sentry/abi/errno.ts';
import { S_IFMT, S_IFSOCK } from '../sentry/abi/stat.ts';
import { setUnixPaths } from '../sentry/socket/unix/address.ts';
import { vfsMknod, vfsUnlink } from '../sentry/vfs/namei.ts';
import { inodePermission, MAY_WRITE } from '../sentry/vfs/permission.ts';
import { LOOKUP_FOLLOW, nd, walk } from '../sentry/vfs/walk.ts';

export function installUnixPaths(): void {
  setUnixPaths({
    make(t, path, mode) {
      // unix_bind() applies the umask whatever the directory hands down.
      let r = vfsMknod(t, t.fs.cwd, path, S_IFSOCK | (mode & 0o7777 & ~t.fs.umask), 0);
      if (r < 0) return r;
      r = walk(t, t.fs.cwd, path, 0);
      return r < 0 ? r : nd.dentry.inode!;
    },
    remove(t, path) {
      vfsUnlink(t, t.fs.cwd, path);
    },
    find(t, path) {
      let r = walk(t, t.fs.cwd, path, LOOKUP_FOLLOW);
      if (r < 0) return r;
      const inode = nd.dentry.inode!;
      r = inodePermission(t, inode, MAY_WRITE);
      if (r < 0) return r;
      return (inode.mode & S_IFMT) === S_IFSOCK ? inode : -ECONNREFUSED;
    },
  });
}
