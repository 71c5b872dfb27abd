#!/bin/sh
# Makes a Debian root for tests of real programs, once; prints its path. The mirror is the machine's own.
# Usage: make-root.sh [DIR [PACKAGES]]   (default: /var/cache/runsc-ts-test/bookworm with those of the tests of programs)
set -eu
dir=${1:-/var/cache/runsc-ts-test/bookworm}
packages=${2:-"bash coreutils findutils grep sed gawk tar gzip xz-utils procps psmisc less bsdutils bsdextrautils util-linux perl
  python3 nodejs gcc libc6-dev make git sqlite3 openssl redis-server redis-tools nginx-light curl ca-certificates
  golang-go default-jdk-headless strace busybox-static"}
list=$(echo $packages | tr ' ' ',')
stamp=$dir.packages
if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$list" ]; then
  echo "$dir"
  exit 0
fi
command -v debootstrap >/dev/null || { echo "make-root.sh: debootstrap is missing: apt-get install debootstrap" >&2; exit 1; }
mirror=$(sed -n 's/^URIs: *\([^ ]*\).*/\1/p; s/^deb \(\[[^]]*\] \)\{0,1\}\([^ ]*\) bookworm .*/\2/p' \
  /etc/apt/sources.list.d/*.sources /etc/apt/sources.list /etc/apt/sources.list.d/*.list 2>/dev/null | head -1)
[ -n "$mirror" ] || { echo "make-root.sh: no Debian mirror in /etc/apt" >&2; exit 1; }
rm -rf "$dir.tmp"
mkdir -p "$(dirname "$dir")"
echo "make-root.sh: making $dir (some minutes)" >&2
debootstrap --variant=minbase --include=ca-certificates bookworm "$dir.tmp" "$mirror" >"$dir.log" 2>&1 || { tail -5 "$dir.log" >&2; exit 1; }
cp /etc/resolv.conf "$dir.tmp/etc/" 2>/dev/null || true
cp -r /etc/apt/sources.list.d /etc/apt/apt.conf.d "$dir.tmp/etc/apt/" 2>/dev/null || true
# No service may be started by a package's installation.
printf '#!/bin/sh\nexit 101\n' > "$dir.tmp/usr/sbin/policy-rc.d"
chmod +x "$dir.tmp/usr/sbin/policy-rc.d"
mkdir -p "$dir.tmp/usr/share/man/man1"
rm -f "$dir.tmp/etc/apt/sources.list"
# Java's packages want /proc while they are configured; the mounts end with their namespace.
unshare --mount --pid --fork sh -c 'mount -t proc proc "$0/proc" && mount --rbind /dev "$0/dev" && exec chroot "$0" sh -c "$1"' "$dir.tmp" \
  "apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $(echo $packages)" \
  >>"$dir.log" 2>&1 ||
  { tail -20 "$dir.log" >&2; exit 1; }
chroot "$dir.tmp" apt-get clean
rm -rf "$dir"
mv "$dir.tmp" "$dir"
echo "$list" > "$stamp"
echo "$dir"
