/**
 * The runtimes to compare with: runc from Debian, and runsc of bookworm-backports, unpacked into a folder of its own so
 * that nothing is installed. The apt source is derived from the machine's own.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const cache = join(import.meta.dirname, '../../node_modules/.cache/peers');

/** URI of the Debian archive this machine uses, from one-line or deb822 sources. */
function debianUri(): string {
  const dir = '/etc/apt/sources.list.d';
  const files = [
    '/etc/apt/sources.list',
    ...(existsSync(dir) ? readdirSync(dir).map((f) => join(dir, f)) : []),
  ];
  for (const file of files.filter((f) => existsSync(f))) {
    const text = readFileSync(file, 'utf8');
    const oneLine = /^deb\s+(?:\[[^\]]*\]\s+)?(\S+)\s+bookworm\s/m.exec(text);
    if (oneLine) return oneLine[1]!;
    for (const stanza of text.split(/\n\s*\n/)) {
      const uris = /^URIs:\s*(\S+)/m.exec(stanza);
      if (uris && /^Suites:.*\bbookworm(\s|$)/m.test(stanza)) return uris[1]!;
    }
  }
  throw new Error('no Debian bookworm source in /etc/apt: cannot fetch runsc for comparison');
}

/** Path of runsc, fetched at first use. */
export function runsc(): string {
  const bin = join(cache, 'root/usr/bin/runsc');
  if (existsSync(bin)) return bin;
  const lists = join(cache, 'lists/partial');
  mkdirSync(lists, { recursive: true });
  const source = join(cache, 'sources.list');
  const keyring = '/usr/share/keyrings/debian-archive-keyring.gpg';
  const signed = existsSync(keyring) ? `[signed-by=${keyring}] ` : '';
  writeFileSync(source, `deb ${signed}${debianUri()} bookworm-backports main\n`);
  const apt = [
    '-qq',
    '-o', `Dir::Etc::sourcelist=${source}`,
    '-o', 'Dir::Etc::sourceparts=-',
    '-o', `Dir::State::lists=${join(cache, 'lists')}`,
    '-o', 'APT::Sandbox::User=root',
  ]; // prettier-ignore
  execFileSync('apt-get', [...apt, 'update'], { stdio: ['ignore', 'ignore', 'inherit'] });
  execFileSync('apt-get', [...apt, 'download', 'runsc/bookworm-backports'], {
    cwd: cache,
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  const deb = readdirSync(cache).find((f) => f.endsWith('.deb'))!;
  execFileSync('dpkg', ['-x', join(cache, deb), join(cache, 'root')]);
  return bin;
}

/** Path of runc, or null if it is not installed. */
export function runc(): string | null {
  return ['/usr/bin/runc', '/usr/sbin/runc'].find((p) => existsSync(p)) ?? null;
}
