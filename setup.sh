#!/bin/sh
# Installs what the project needs, then builds dist/. Called by `npm run demo`, `npm test` and .ci/run; safe to repeat.
set -eu
cd "$(dirname "$0")"

fail() { echo "setup: $1" >&2; exit 1; }

command -v node >/dev/null || fail "Node.js 20 is needed: https://nodejs.org"
node -e 'process.exit(Number(process.versions.node.split(".")[0]) >= 20 ? 0 : 1)' ||
  fail "Node.js 20 or newer is needed, this is $(node --version)"
[ "$(uname -sm)" = "Linux x86_64" ] || fail "Linux on x86-64 is needed, this is $(uname -sm)"

# Debian packages: a compiler for the native parts. Tests ask for more: setup.sh PACKAGE...
missing=""
command -v cc >/dev/null || missing="gcc libc6-dev"
for p in "$@"; do dpkg-query -W -f '${Status}' "$p" 2>/dev/null | grep -q 'ok installed' || missing="$missing $p"; done
if [ -n "$missing" ]; then
  command -v apt-get >/dev/null || fail "please install:$missing"
  [ "$(id -u)" = 0 ] || fail "please run: sudo apt-get install -y$missing"
  apt-get update -qq >/dev/null
  # shellcheck disable=SC2086
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
fi

# npm ci once per lockfile.
stamp=node_modules/.cache/lockfile
if ! cmp -s package-lock.json "$stamp" 2>/dev/null; then
  npm ci --no-audit --no-fund --loglevel=error
  mkdir -p node_modules/.cache
  cp package-lock.json "$stamp"
fi
node build.js
