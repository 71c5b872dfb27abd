/** Networks of Docker: modes, user networks, addresses, names, ports, interfaces that come and go. */
import { run as runHost } from '../lib/sandbox.ts';
import { seen, tellStories, type Container, type Story } from './lib/stories.ts';
import { retry } from './lib/until.ts';

const SERVER = 'echo page > /var/www/index.html; exec httpd -f -p 80 -h /var/www';
const ADDRESSES = `ip -o -4 addr | awk '{print $2, $4}' | sed 's/@[^ ]*//'`;

/** Answers datagrams on port 5000. The image has no such server: perl is the host's. */
const UDP_SERVER =
  'my $s = IO::Socket::INET->new(Proto => "udp", LocalPort => 5000) or die; while ($s->recv(my $m, 99)) { $s->send("<$m>") }';

/** The image has few. */
const HOSTS_PROGRAMS = ['/usr', '/lib', '/lib64'].flatMap((dir) => ['--volume', `${dir}:${dir}:ro`]);

/** Output of a shell command in the network namespace of the daemon. */
function onHost(c: Container, command: string): string {
  const [file, ...args] = c.daemon.enter(['bash', '-c', command]);
  return runHost(file!, args, { timeoutMs: 180_000 }).stdout;
}

/** Makes a network for the time of `use`. */
function withNetwork(c: Container, options: readonly string[], use: (name: string) => unknown[]): unknown[] {
  const name = `net-${c.name}`;
  const made = c.docker('network', 'create', ...options, name);
  try {
    return [made.status, made.stderr, ...use(name)];
  } finally {
    c.remove();
    c.docker('network', 'rm', name);
  }
}

const stories: Readonly<Record<string, Story>> = {
  'the network of the host': (c) => {
    c.run(
      ['--detach', '--network', 'host'],
      'sh',
      '-c',
      'echo page > /var/www/x; exec httpd -f -p 8123 -h /var/www',
    );
    return [
      onHost(c, retry('busybox wget -q -O - http://127.0.0.1:8123/x')),
      seen(c.exec('sh', '-c', `hostname; ${ADDRESSES}; cat /etc/hostname`)),
    ];
  },
  'an address, a MAC address and names of its own': (c) =>
    withNetwork(c, ['--subnet', '10.55.0.0/24', '--gateway', '10.55.0.254'], (net) => {
      const options = ['--network', net, '--ip', '10.55.0.77', '--mac-address', '02:42:0a:37:00:4d'];
      c.run(
        [...options, '--network-alias', 'first', '--network-alias', 'second', '--detach'],
        'sh',
        '-c',
        SERVER,
      );
      return [
        seen(c.exec('sh', '-c', `${ADDRESSES}; cat /sys/class/net/eth0/address; ip route | grep default`)),
        ...['first', 'second', c.name].map((name) =>
          seen(c.other(['--network', net], 'sh', '-c', retry(`wget -q -O - http://${name}/`))),
        ),
        c.other([], 'sh', '-c', 'wget -q -O - http://first/ 2>/dev/null || echo unknown').stdout,
      ];
    }),
  'interfaces that come and go while it runs': (c) =>
    withNetwork(c, ['--subnet', '10.56.0.0/24'], (net) => {
      c.run(['--detach'], 'sh', '-c', SERVER);
      const addresses = (): unknown => seen(c.exec('sh', '-c', `${ADDRESSES} | sed 's/172.17.0.*/BRIDGE/'`));
      return [
        addresses(),
        c.docker('network', 'connect', '--ip', '10.56.0.9', net, c.name).status,
        addresses(),
        onHost(c, retry('busybox wget -q -O - http://10.56.0.9/')),
        c.docker('network', 'disconnect', 'bridge', c.name).status,
        addresses(),
      ];
    }),
  'a network without a way out': (c) =>
    withNetwork(c, ['--internal', '--subnet', '10.57.0.0/24'], (net) => [
      seen(
        c.other(
          ['--network', net],
          'sh',
          '-c',
          `ip route | sed 's/ *$//'; wget -q -O - http://192.0.2.1/ 2>&1; echo $?`,
        ),
      ),
    ]),
  'a network of interfaces of their own (macvlan)': (c) => {
    onHost(c, 'ip link add mac0 type veth peer name mac1; ip link set mac0 up; ip link set mac1 up');
    return withNetwork(
      c,
      ['--driver', 'macvlan', '--subnet', '10.58.0.0/24', '--opt', 'parent=mac0'],
      (net) => {
        c.run(['--detach', '--network', net, '--ip', '10.58.0.2'], 'sh', '-c', SERVER);
        return [
          seen(c.exec('sh', '-c', ADDRESSES)),
          seen(c.other(['--network', net], 'sh', '-c', retry('wget -q -O - http://10.58.0.2/'))),
        ];
      },
    );
  },
  'published ports of TCP and UDP': (c) => {
    const ports = ['--publish', '127.0.0.1:8200-8201:80-81', '--publish', '127.0.0.1:8300:5000/udp'];
    c.run(
      ['--detach', ...HOSTS_PROGRAMS, ...ports],
      'sh',
      '-c',
      `/usr/bin/perl -MIO::Socket::INET -e '${UDP_SERVER}' & ${SERVER}`,
    );
    const datagram =
      'exec 3<>/dev/udp/127.0.0.1/8300; echo -n ping >&3; read -r -t 1 -N 6 a <&3; test "$a" && echo "$a"';
    return [
      onHost(c, retry('busybox wget -q -O - http://127.0.0.1:8200/')),
      onHost(c, retry(`bash -c '${datagram}'`)),
      c.docker('port', c.name).stdout.split('\n').sort(),
    ];
  },
  'tcpdump with a filter, of what comes from outside': (c) => {
    const dump = '/usr/bin/tcpdump -Z root -n -t -q -l -i eth0 -c 2 "udp dst port 5001 or tcp dst port 5002"';
    c.run(
      ['--detach', ...HOSTS_PROGRAMS],
      'sh',
      '-c',
      `${dump} > /tmp/packets 2> /tmp/said; exec sleep 1000`,
    );
    const address = c.inspect('.NetworkSettings.IPAddress');
    return [
      seen(c.exec('sh', '-c', retry('grep -q "^listening on eth0" /tmp/said'))),
      onHost(c, `echo no > /dev/udp/${address}/5000; echo one > /dev/udp/${address}/5001`),
      onHost(c, `timeout 5 bash -c 'echo > /dev/tcp/${address}/5002'`),
      seen(c.exec('sh', '-c', retry('grep -q "^2 packets captured" /tmp/said'))),
      c
        .exec('cat', '/tmp/packets')
        .stdout.replace(/(\d+\.){3}\d+\.\d+ >/g, 'FROM >')
        .replaceAll(address, 'ADDRESS'),
    ];
  },
  'a port that Docker chooses': (c) => {
    c.run(['--detach', '--expose', '80', '--publish-all'], 'sh', '-c', SERVER);
    const port = c.inspect('(index (index .NetworkSettings.Ports "80/tcp") 0).HostPort');
    return [onHost(c, retry(`busybox wget -q -O - http://127.0.0.1:${port}/`))];
  },
  'a link with a name': (c) => {
    c.run(['--detach', '--env', 'A=b'], 'sh', '-c', SERVER);
    const script = `${retry('wget -q -O - http://peer/')}; env | grep PEER_ENV_A`;
    return [seen(c.other(['--link', `${c.name}:peer`], 'sh', '-c', script))];
  },
  'the network of another container, with its names': (c) =>
    withNetwork(c, [], (net) => {
      c.run(['--detach', '--hostname', 'box', '--network', net], 'sh', '-c', SERVER);
      const shared = ['--network', `container:${c.name}`];
      return [
        seen(c.other(shared, 'sh', '-c', `hostname; ${retry('wget -q -O - http://127.0.0.1/')}`)),
        c.other(shared, 'httpd', '-f', '-p', '80').status,
        c.other([...shared, '--hostname', 'x'], 'true').status,
        seen(c.other(shared, 'sh', '-c', retry(`wget -q -O - http://${c.name}/`))),
        c.docker('rm', '--force', c.name).status,
      ];
    }),
};

tellStories('networks of docker', stories, { perl: 'perl' }, { every: 2 });
