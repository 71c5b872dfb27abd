/**
 * Servers, package managers and other large programs at work: scripts of `services/`, run as those of cases.ts are, in a
 * Debian root of their own. A script's first lines say what it needs and how long it may take natively.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ProgramCase } from './cases.ts';

const dir = join(import.meta.dirname, 'services');

/** Debian's packages beside what debootstrap's minbase has. */
export const servicePackages = `bash coreutils findutils grep sed gawk tar gzip procps psmisc less bsdutils util-linux perl
  python3 gcc g++ make cmake ninja-build git sqlite3 openssl redis-server redis-tools nginx-light apache2-utils wrk curl
  ca-certificates busybox-static postgresql postgresql-contrib mariadb-server memcached php-cli php-sqlite3 ruby nodejs npm
  openssh-server openssh-client stress-ng dumb-init tini chromium apt-utils dpkg-dev vim tmux expect iputils-ping iproute2`;

function field(script: string, name: string): string {
  const line = script.split('\n').find((l) => l.startsWith(`# ${name}: `));
  return line === undefined ? '' : line.slice(name.length + 4);
}

export const services: readonly ProgramCase[] = readdirSync(dir).map((file) => {
  const script = readFileSync(join(dir, file), 'utf8');
  return {
    name: file.replace('.sh', ''),
    needs: field(script, 'needs').split(' '),
    script,
    timeoutMs: Number(field(script, 'seconds')) * 1000,
  };
});
