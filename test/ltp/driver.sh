#!/bin/sh
# Runs inside the guest: the commands of a list ("name command…" lines), each in a session and a directory of its own, with a
# time limit, and prints name, output, exit status and seconds between marks.
# Usage: driver.sh LIST SECONDS
list=$1 limit=$2
export LTPROOT=${LTPROOT:-/opt/ltp}
export PATH=$LTPROOT/testcases/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export LTP_COLORIZE_OUTPUT=n LC_ALL=C
export TMPDIR
cd "$LTPROOT/testcases/bin" || exit 1
while read -r name command; do
  TMPDIR=/tmp/w-$name
  mkdir -p "$TMPDIR"
  chmod 1777 "$TMPDIR"
  echo "@@@BEGIN $name"
  start=$(date +%s)
  timeout -k 5 "$limit" setsid -w sh -c "$command" >"/tmp/out-$name" 2>&1 </dev/null
  status=$?
  tail -c 6000 "/tmp/out-$name"
  echo
  echo "@@@END $name $status $(($(date +%s) - start))"
  cd "$LTPROOT/testcases/bin" || exit 1
  rm -rf "$TMPDIR" "/tmp/out-$name"
done <"$list"
echo "@@@DONE"
