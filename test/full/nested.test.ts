/** Container engines inside a sandbox: runc with a bundle, and dockerd with images on overlay2, made by the sandbox's own kernel. */
import { expect, test } from 'vitest';
import { missing } from '../engines/lib/programs.ts';
import { platforms, sandbox } from '../lib/sandbox.ts';

const absent = missing({
  runc: 'runc',
  dockerd: 'docker.io',
  docker: 'docker.io',
  '/bin/busybox': 'busybox-static',
});
if (absent.length > 0) console.warn(`engines inside a sandbox: skipped, missing ${absent.join(', ')}`);

/**
 * A root with nothing but busybox, and groups that may be made: as in any container, what runs there must leave the topmost group
 * before it can hand on controllers (Docker's own dind script does the same).
 */
const PREPARE = `set -e
mount -o remount,rw /sys/fs/cgroup
mkdir /sys/fs/cgroup/init
for p in $(cat /sys/fs/cgroup/cgroup.procs); do echo $p > /sys/fs/cgroup/init/cgroup.procs 2>/dev/null || true; done
sed -e 's/ / +/g' -e 's/^/+/' /sys/fs/cgroup/cgroup.controllers > /sys/fs/cgroup/cgroup.subtree_control
mount -t tmpfs none /mnt
mkdir -p /mnt/b/rootfs/bin /mnt/b/rootfs/proc /mnt/b/rootfs/sys /mnt/b/rootfs/dev /mnt/b/rootfs/tmp
cd /mnt/b
cp /bin/busybox rootfs/bin/
for a in sh id ls cat echo rm mknod dd hostname; do ln -s busybox rootfs/bin/$a; done
`;

const RUNC = `${PREPARE}
runc spec
sed -i 's/"terminal": true/"terminal": false/; s/"sh"/"sh", "-c", "exec 2>\\&1; id; hostname; cat \\/proc\\/self\\/cgroup; echo 1 > \\/sys\\/kernel\\/x; ls \\/dev\\/pts"/' config.json
runc --root /mnt/state run one
runc --root /mnt/state list -q | wc -l
ls /sys/fs/cgroup | grep -c '^one$' || true
`;

const DOCKERD = `${PREPARE}
set +e
dockerd --iptables=false --bridge=none --data-root /mnt/data --exec-root /mnt/exec -H unix:///mnt/sock -p /mnt/pid >/mnt/log 2>&1 &
export DOCKER_HOST=unix:///mnt/sock
until docker info >/mnt/info 2>/dev/null; do kill -0 $! || { cat /mnt/log; exit 1; }; sleep 0.2; done
grep -E 'Storage Driver|Cgroup Version' /mnt/info
tar -C rootfs -c . | docker import - box >/dev/null
docker run --name one --network none box sh -c 'exec 2>&1; id; echo new > /file; rm /bin/cat; ls /bin/cat'
docker diff one | sort
docker run --rm --network host box sh -c 'exec 2>&1; cat /proc/1/comm'
docker run --rm --network none --cap-add MKNOD box sh -c 'exec 2>&1; mknod /tmp/sda b 8 0; cat /tmp/sda; mknod /tmp/null c 1 3 && echo x > /tmp/null && echo written'
docker run --rm --network none --pids-limit 20 --memory 64m box sh -c 'exec 2>&1; cat /sys/fs/cgroup/pids.max /sys/fs/cgroup/memory.max'
docker commit one two >/dev/null
docker run --rm --network none two sh -c 'exec 2>&1; ls /bin/cat /file'
docker rm one >/dev/null
docker ps -aq | wc -l
kill %1
wait
`;

const lines = (s: string): string[] => s.split('\n').filter((l) => l !== '');

runsInside('runc', RUNC, [
  'uid=0 gid=0',
  'runc',
  '0::/',
  "sh: can't create /sys/kernel/x: Read-only file system",
  'ptmx',
  '0',
  '0',
]);

runsInside('dockerd', DOCKERD, [
  ' Storage Driver: overlay2',
  ' Cgroup Version: 2',
  'uid=0 gid=0 groups=0',
  'ls: /bin/cat: No such file or directory',
  'A /file',
  'C /bin',
  'D /bin/cat',
  'cat',
  "cat: can't open '/tmp/sda': Operation not permitted",
  'written',
  '20',
  '67108864',
  'ls: /bin/cat: No such file or directory',
  '/file',
  '0',
]);

function runsInside(name: string, script: string, expected: readonly string[]): void {
  test.skipIf(absent.length > 0).each(platforms)(
    `${name} in a sandbox on %s`,
    { timeout: 600_000 },
    (platform) => {
      const { stdout, stderr, status } = sandbox(platform, ['bash', '-c', `exec 2>&1\n${script}`], {
        timeoutMs: 590_000,
      });
      expect({ lines: lines(stdout), stderr, status }).toEqual({ lines: expected, stderr: '', status: 0 });
    },
  );
}
