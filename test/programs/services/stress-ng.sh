# needs: stress-ng setpriv
# seconds: 120
# Ten operations of each stressor with verification, with a container's usual capabilities: 0 is passed, or skipped for want of them.
# Refused here, so left out: netlink-task (no taskstats), fanotify, landlock, userfaultfd, secretmem, rseq. Others are for their time.
drop=-all,+chown,+dac_override,+fowner,+fsetid,+kill,+setgid,+setuid,+setpcap,+net_bind_service,+net_raw,+sys_chroot,+mknod,+audit_write,+setfcap
stress() {
  for name in "$@"; do
    setpriv --bounding-set=$drop --inh-caps=-all stress-ng --$name 1 --$name-ops 10 --timeout 60 --verify --temp-path . >log 2>&1 </dev/null
    echo "$name $?"
  done
}
# os
stress access aio aiol alarm bad-altstack bad-ioctl bigheap brk cap clock clone close dup enosys env epoll eventfd exec exit-group fault futex \
  get getrandom handle itimer kcmp key kill mincore msg mprotect munmap null opcode personality pidfd ping-sock poll prctl procfs pthread ptrace
# pipe
stress fifo pipe sendfile splice tee vm-splice
# vm
stress malloc mlock mmapmany mmaphuge msync pageswap shm shm-sysv vm-addr vm-rw vm-segv
# filesystem
stress chmod chown copy-file dir dirdeep dirmany dnotify fcntl file-ioctl flock fstat full getdent hdd inotify io lease locka lockf lockofd \
  mknod open readahead rename symlink touch utime xattr
# scheduler
stress affinity daemon fork hrtimers loadavg mq mutex nanosleep nice resched sem sem-sysv sleep switch vfork wait yield zombie
