/** CPython's own test modules (Debian's libpython3.11-testsuite) that talk to the kernel most. */
export const pythonModules: readonly string[] = `
test_os test_posix test_subprocess test_socket test_signal test_threading test_mmap test_select test_asyncio test_pty test_openpty
test_io test_fileio test_file test_largefile test_multiprocessing_fork test_concurrent_futures test_eintr test_file_eintr test_epoll
test_poll test_selectors test_fcntl test_ioctl test_resource test_time test_fork1 test_wait3 test_wait4 test_thread test_threadsignals
test_shutil test_tempfile test_pathlib test_posixpath test_genericpath test_glob test_socketserver test_ssl test_faulthandler
test_asyncore test_asynchat test_httpservers test_ftplib test_smtplib test_popen test_timeout test_urllib2_localnet test_stat
test_tarfile test_zipfile test_mailbox test_logging test_getpass test_curses test_readline test_queue test_syslog test_pwd test_grp
`
  .trim()
  .split(/\s+/);

/** Needs a hypervisor's sockets, which a container has not: hangs natively on some machines. */
export const pythonIgnored = '*VSOCK*';
