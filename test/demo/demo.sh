#!/bin/sh
# `npm run demo`: real programs in a sandbox, and what the sandbox does to them.
cd "$(dirname "$0")/../.."
runsc=dist/runsc-ts
failed=0

show() { # title, then the command
  printf '\n\033[1m── %s\033[0m\n' "$1"
  shift
  printf '$ %s\n' "$*"
}

check() { # expected status
  [ "$2" = "$1" ] || { echo "demo: exit status $2, expected $1" >&2; failed=1; }
}

show "The guest's kernel is not the host's" runsc-ts do -- uname -a
$runsc do -- uname -a
check 0 $?
echo "(host: $(uname -sr))"

show "A shell pipeline" "runsc-ts do -- sh -c 'seq 1 1000 | grep 7 | sort -r | head -3'"
$runsc do -- sh -c 'seq 1 1000 | grep 7 | sort -r | head -3'
check 0 $?

if command -v python3 >/dev/null; then
  show "A Python script with threads and a subprocess" "runsc-ts do -- python3 -c '…'"
  $runsc do -- python3 -c '
import subprocess, threading, os
results = []
threads = [threading.Thread(target=lambda n=n: results.append(n * n)) for n in range(5)]
[t.start() for t in threads]; [t.join() for t in threads]
print("squares from threads:", sorted(results))
print("subprocess says:", subprocess.run(["echo", "hello from pid", str(os.getpid())], capture_output=True, text=True).stdout.strip())'
  check 0 $?
fi

show "The process list holds the sandbox's processes only" "runsc-ts do -- ps -ef"
$runsc do -- sh -c 'if command -v ps >/dev/null; then ps -ef; else for p in /proc/[0-9]*; do echo "${p#/proc/} $(tr "\0" " " < $p/cmdline)"; done; fi'
check 0 $?

show "Writes stay in the sandbox" "runsc-ts do -- sh -c 'echo changed > /etc/demo; cat /etc/demo'; ls /etc/demo"
$runsc do -- sh -c 'echo changed > /etc/demo && cat /etc/demo'
check 0 $?
ls /etc/demo 2>&1 | sed 's/^/host: /'

show "A denied access: the host's raw devices and network are not there" "runsc-ts do -- sh -c 'cat /dev/mem; ls /sys/class/net'"
$runsc do -- sh -c 'cat /dev/mem 2>&1; ls /sys/class/net'

show "System calls, as the sandbox's kernel sees them" "runsc-ts --strace=openat,execve do -- cat /etc/hostname"
$runsc --strace=openat,execve do -- cat /etc/hostname 2>&1 | head -8

show "Exit codes pass through" "runsc-ts do -- sh -c 'exit 42'; echo \$?"
$runsc do -- sh -c 'exit 42'
status=$?
echo $status
check 42 $status
exit $failed
