# File calls on a directory given as argument, with edge cases. Prints results and errno names, nothing that varies, and
# leaves the directory empty: run natively and in a sandbox, the output has to be the same. Needs root.
import ctypes
import errno
import fcntl
import mmap
import os
import stat
import sys

base = sys.argv[1]
os.chdir(base)
os.umask(0o22)

def attempt(f, *a, **k):
    try:
        r = f(*a, **k)
        return r
    except OSError as error:
        return errno.errorcode[error.errno]

def status(p, **k):
    s = attempt(os.stat, p, **k)
    return s if isinstance(s, str) else (stat.filemode(s.st_mode), s.st_uid, s.st_gid, s.st_nlink, s.st_size if not stat.S_ISDIR(s.st_mode) else '-')

def show(*a):
    print(*a, flush=True)

def section(name):
    print('==', name, flush=True)
fd = os.open('f', os.O_RDWR | os.O_CREAT, 0o666)
show(status('f'))
show(os.write(fd, b'hello world'))
show(os.pread(fd, 5, 6), os.lseek(fd, 0, 1), os.lseek(fd, -3, 2), os.read(fd, 10))
show(attempt(os.lseek, fd, -1, 0))
show(os.pwrite(fd, b'X', 20), os.fstat(fd).st_size, os.pread(fd, 100, 0))
show(attempt(os.open, 'f', os.O_CREAT | os.O_EXCL | os.O_RDWR))
show(attempt(os.open, 'f/x', os.O_RDONLY), attempt(os.open, 'nope', os.O_RDONLY), attempt(os.open, '.', os.O_WRONLY), attempt(os.open, 'f', os.O_DIRECTORY))
fa = os.open('f', os.O_WRONLY | os.O_APPEND)
os.write(fa, b'END')
show(os.fstat(fa).st_size, os.lseek(fa, 0, 1))
show(attempt(os.read, fa, 1))
show(attempt(os.write, os.open('f', os.O_RDONLY), b'x'))
os.ftruncate(fd, 3)
show(os.fstat(fd).st_size)
os.ftruncate(fd, 10)
show(os.pread(fd, 20, 0))
show(attempt(os.truncate, 'f', -1))
show(attempt(os.truncate, '.', 0))
show(attempt(os.truncate, 'nope', 0))
show(attempt(os.posix_fallocate, fd, 0, 100000), os.fstat(fd).st_size, os.fstat(fd).st_blocks >= 195)

section('fallocate and holes')
libc = ctypes.CDLL(None, use_errno=True)
libc.fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_long, ctypes.c_long]

def fal(*a):
    r = libc.fallocate(*a)
    return r if r == 0 else errno.errorcode[ctypes.get_errno()]
show(fal(fd, 1, 0, 200000), os.fstat(fd).st_size)
show(fal(fd, 3, 4096, 8192))
show(fal(fd, 2, 0, 4096))
show(fal(fd, 16, 0, 4096))
show(fal(fd, 0, 0, 0), fal(fd, 0, -1, 5))
h = os.open('hole', os.O_RDWR | os.O_CREAT)
os.pwrite(h, b'a' * 4096, 1 << 20)
show(os.lseek(h, 0, os.SEEK_DATA), os.lseek(h, 1 << 20, os.SEEK_HOLE) - (1 << 20), os.lseek(h, 0, os.SEEK_HOLE))
show(attempt(os.lseek, h, 2 << 20, os.SEEK_DATA))

section('links')
os.link('f', 'g')
show(status('g'))
show(attempt(os.link, '.', 'd'))
show(attempt(os.link, 'nope', 'x'))
show(attempt(os.link, 'f', 'g'))
os.unlink('g')
show(status('f')[3])
os.symlink('f', 's')
show(os.readlink('s'), status('s'), status('s', follow_symlinks=False))
show(attempt(os.readlink, 'f'))
os.symlink('loop', 'loop')
show(attempt(os.open, 'loop', 0), attempt(os.open, 's', os.O_NOFOLLOW))
show(attempt(os.symlink, '', 'x'), attempt(os.symlink, 'a' * 4096, 'x'), attempt(os.symlink, 'a' * 4095, 'lnk'), len(os.readlink('lnk')))
os.symlink('target', 'dang')
show(attempt(os.open, 'dang', os.O_CREAT | os.O_EXCL))
q = os.open('dang', os.O_CREAT | os.O_WRONLY)
show(status('target'))
os.link('s', 'slink', follow_symlinks=False)
show(os.readlink('slink'))

section('dirs')
os.mkdir('d', 0o777)
show(status('d'))
show(attempt(os.mkdir, 'd'), attempt(os.mkdir, 'f/x'), attempt(os.mkdir, 'n/x'), attempt(os.rmdir, 'f'), attempt(os.rmdir, 'nope'), attempt(os.unlink, 'd'), attempt(os.rmdir, '.'), attempt(os.rmdir, 'd/.'), attempt(os.mkdir, 'd/..'))
os.mkdir('d/e')
show(os.stat('d').st_nlink)
show(attempt(os.rmdir, 'd'))
show(attempt(os.rename, 'd', 'd/e/x'))
show(attempt(os.rename, 'd/e', 'f'))
show(attempt(os.rename, 'f', 'd'))
show(attempt(os.rename, 'nope', 'x'))
os.mkdir('d2')
show(attempt(os.rename, 'd2', 'd'))
os.rename('d/e', 'd2')
show(status('d2'), os.stat('d').st_nlink)
for i in range(100):
    os.close(os.open('d/%d' % i, os.O_CREAT | os.O_WRONLY))
show(sorted(os.listdir('d')) == sorted((str(i) for i in range(100))))
with os.scandir('d') as it:
    show(sum((x.is_file(follow_symlinks=False) for x in it)))
dfd = os.open('d', os.O_RDONLY | os.O_DIRECTORY)
show(len(os.listdir(dfd)))
os.unlink('5', dir_fd=dfd)
show(len(os.listdir(dfd)))
show(attempt(os.read, dfd, 10), attempt(os.fsync, dfd))

section('names')
n = 'n' * 255
open(n, 'w').close()
show(status(n))
show(attempt(os.open, 'n' * 256, os.O_CREAT), attempt(os.stat, 'n' * 256))
b = b'\xff\xfe\x80'
open(b, 'w').close()
show(b in os.listdir(b'.'), status(b))
os.unlink(b)
show(attempt(os.stat, 'a/' * 2100))

section('rename flags')
libc.renameat2.argtypes = [ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint]

def rn(a, b, f):
    r = libc.renameat2(-100, a, -100, b, f)
    return r if r == 0 else errno.errorcode[ctypes.get_errno()]
open('a', 'w').write('A')
open('b', 'w').write('BB')
show(rn(b'a', b'b', 1), rn(b'a', b'b', 2), status('a')[4], status('b')[4], rn(b'a', b'zz', 2), rn(b'a', b'b', 3), rn(b'a', b'c', 1), status('c')[4])
show(rn(b'd2', b'c', 2), status('c')[0], status('d2')[0])
show(rn(b'c', b'd2', 2))
os.rename('c', 'c')
os.link('c', 'c2')
os.rename('c', 'c2')
show(status('c'), status('c2'))

section('unlinked open')
u = os.open('u', os.O_RDWR | os.O_CREAT)
os.write(u, b'abc')
os.unlink('u')
show(os.fstat(u).st_nlink, os.pread(u, 3, 0), status('u'))
os.fchmod(u, 0o600)
show(oct(os.fstat(u).st_mode))
os.ftruncate(u, 1)
show(os.fstat(u).st_size)
show(os.readlink('/proc/self/fd/%d' % u).endswith('u (deleted)'))
v = os.open('/proc/self/fd/%d' % u, os.O_RDONLY)
show(os.read(v, 5))
w = os.open('w', os.O_RDWR | os.O_CREAT)
os.rename('b', 'w')
show(os.fstat(w).st_nlink)
os.write(w, b'z')
show(open('w').read())

section('tmpfile')
t = attempt(os.open, '.', os.O_TMPFILE | os.O_RDWR, 0o600)
if not isinstance(t, str):
    os.write(t, b'tmp')
    show(os.fstat(t).st_nlink, os.pread(t, 3, 0))
    show(attempt(os.link, '/proc/self/fd/%d' % t, 'linked', follow_symlinks=True))
    show(status('linked'))
    t2 = os.open('.', os.O_TMPFILE | os.O_RDWR | os.O_EXCL, 0o600)
    show(attempt(os.link, '/proc/self/fd/%d' % t2, 'linked2', follow_symlinks=True))
else:
    show(t)

section('times')
os.utime('f', ns=(1234567890123456789, 987654321987654321))
s = os.stat('f')
show(s.st_atime_ns, s.st_mtime_ns)
os.utime('s', ns=(5, 6), follow_symlinks=False)
show(os.lstat('s').st_mtime_ns, os.stat('f').st_mtime_ns)
os.utime('f', (-10, -20))
show(os.stat('f').st_mtime)
a = os.stat('d').st_mtime_ns
open('d/new', 'w').close()
show(os.stat('d').st_mtime_ns >= a)
m1 = os.stat('f').st_mtime_ns
os.write(fd, b'q')
show(os.stat('f').st_mtime_ns > m1)
c0 = os.stat('f').st_ctime_ns
os.chmod('f', 0o640)
show(os.stat('f').st_ctime_ns >= c0, status('f'))

section('owners, suid')
os.chown('f', 1000, 1001)
show(status('f'))
os.chmod('f', 0o6755)
show(status('f'))
os.chown('f', 5, 6)
show(status('f'))
os.lchown('s', 7, 8)
show(status('s', follow_symlinks=False), status('f'))
os.chmod('f', 0o6777)
os.chmod('.', 0o777)
os.mkdir('sg')
os.chown('sg', 0, 77)
os.chmod('sg', 0o2777)
open('sg/x', 'w').close()
os.mkdir('sg/y')
show(status('sg/x'), status('sg/y'))
os.mkdir('st')
os.chmod('st', 0o1777)
open('st/root', 'w').close()

section('as an ordinary user')
pid = os.fork()
if pid == 0:
    os.setgroups([])
    os.setresgid(1000, 1000, 1000)
    os.setresuid(1000, 1000, 1000)
    x = os.open('f', os.O_WRONLY)
    os.write(x, b'1')
    show(status('f'))
    show(attempt(os.chmod, 'f', 0o700), attempt(os.chown, 'f', 1000, 1000), attempt(os.utime, 'f', (1, 1)), attempt(os.utime, 'f'))
    show(attempt(os.unlink, 'st/root'), attempt(os.rename, 'st/root', 'st/x'))
    y = os.open('mine', os.O_CREAT | os.O_RDWR, 0o604)
    show(status('mine'))
    show(attempt(os.chown, 'mine', 1000, 1000), attempt(os.chown, 'mine', 0, 0), attempt(os.chmod, 'mine', 0o4755))
    show(status('mine'))
    os.mkdir('md')
    show(status('md'))
    os.chmod('md', 0)
    show(attempt(os.listdir, 'md'), attempt(os.stat, 'md/x'))
    os.chmod('mine', 0)
    show(attempt(os.open, 'mine', 0))
    show(os.access('f', os.R_OK), os.access('mine', os.R_OK))
    show(os.pread(y, 1, 0))
    show(attempt(os.link, 'f', 'hard'))
    show(attempt(os.symlink, 'x', 'sym'), status('sym', follow_symlinks=False))
    show(attempt(os.mknod, 'dev', stat.S_IFCHR | 438, os.makedev(1, 3)))
    os.mkfifo('ff')
    show(status('ff'))
    show(attempt(os.rmdir, 'md'))
    os._exit(0)
os.waitpid(pid, 0)

section('mmap')
mfd = os.open('m', os.O_RDWR | os.O_CREAT)
os.ftruncate(mfd, 8192)
m = mmap.mmap(mfd, 8192)
m[100:105] = b'mmap!'
show(os.pread(mfd, 5, 100))
os.pwrite(mfd, b'W', 200)
show(m[200:201])
pid = os.fork()
if pid == 0:
    m[0:3] = b'kid'
    os._exit(0)
os.waitpid(pid, 0)
show(m[0:3], os.pread(mfd, 3, 0))
m2 = mmap.mmap(mfd, 4096, mmap.MAP_PRIVATE, mmap.PROT_READ | mmap.PROT_WRITE)
m2[0:3] = b'prv'
show(os.pread(mfd, 3, 0))
ro = os.open('m', os.O_RDONLY)
r = mmap.mmap(ro, 4096, mmap.MAP_SHARED, mmap.PROT_READ)
show(r[0:3])
m[0:3] = b'new'
show(r[0:3], m2[0:3])

section('locks')
l = os.open('lock', os.O_RDWR | os.O_CREAT)
fcntl.flock(l, fcntl.LOCK_EX)
l2 = os.open('lock', os.O_RDWR)
show(attempt(fcntl.flock, l2, fcntl.LOCK_EX | fcntl.LOCK_NB))
fcntl.lockf(l, fcntl.LOCK_EX, 10, 0)
pid = os.fork()
if pid == 0:
    show(attempt(fcntl.lockf, l2, fcntl.LOCK_EX | fcntl.LOCK_NB, 5, 5), attempt(fcntl.lockf, l2, fcntl.LOCK_EX | fcntl.LOCK_NB, 5, 10))
    os._exit(0)
os.waitpid(pid, 0)

section('copy')
src = os.open('src', os.O_RDWR | os.O_CREAT)
os.write(src, os.urandom(0) + b'0123456789' * 1000)
dst = os.open('dst', os.O_RDWR | os.O_CREAT)
show(os.sendfile(dst, src, 0, 5000), os.copy_file_range(src, dst, 5000, 0, 5000), os.fstat(dst).st_size, os.pread(dst, 10, 5000))
show(os.fsync(dst), os.fdatasync(dst))
show(os.writev(dst, [b'a', b'bc']), os.preadv(dst, [bytearray(2)], 0), os.lseek(dst, 0, 1))

section('xattr')
show(attempt(os.setxattr, 'f', 'user.a', b'val'), attempt(os.getxattr, 'f', 'user.a'), attempt(os.listxattr, 'f'), attempt(os.setxattr, 'f', 'user.a', b'x', os.XATTR_CREATE), attempt(os.setxattr, 'f', 'user.b', b'x', os.XATTR_REPLACE), attempt(os.removexattr, 'f', 'user.a'), attempt(os.getxattr, 'f', 'user.a'), attempt(os.setxattr, 's', 'user.x', b'1', follow_symlinks=False), attempt(os.setxattr, 'f', 'bogus', b'1'))

section('path fd')
o = os.open('f', os.O_PATH)
show(attempt(os.read, o, 1), os.fstat(o).st_size == os.stat('f').st_size, attempt(os.fchmod, o, 0o600))
o2 = os.open('d', os.O_PATH)
show(status('3', dir_fd=o2))
show(attempt(os.open, '../f', os.O_RDONLY, dir_fd=o2) not in ('ENOENT',))
os.fchdir(o2)
show(os.getcwd() == base + '/d')
os.chdir('..')
os.mkdir('gone')
os.chdir('gone')
os.rmdir('../gone')
show(attempt(os.getcwd), attempt(os.open, 'x', os.O_CREAT), attempt(os.listdir, '.'), attempt(os.stat, '..') != 'x')
os.chdir(base)
s = os.statvfs('.')
show(s.f_namemax, s.f_bsize)
show(os.open('f', os.O_RDONLY | os.O_NOATIME) > 0)
show(attempt(os.open, 'f', os.O_RDONLY | os.O_DIRECT) != 'x')
os.makedirs('deep/' + '/'.join(['x' * 50] * 60))
show(len(os.listdir('deep')))
for r, ds, fs in os.walk('.', topdown=False):
    for f in fs:
        os.unlink(os.path.join(r, f))
    for d in ds:
        q = os.path.join(r, d)
        os.unlink(q) if os.path.islink(q) else os.rmdir(q)
show(os.listdir('.'))
