/** AF_UNIX sockets of the gofer: made non-blocking, so that nobody's backlog stops it. Values or −errno. */
import { AF_UNIX } from '../../sentry/abi/socket.ts';
import { HostBuffer } from '../../sentry/host/memory.ffi.ts';
import { hostSyscall } from '../../sentry/host/sys.ffi.ts';
import { O_CLOEXEC, O_NONBLOCK } from './fs.ffi.ts';

const SYS_socket = 41;
const SYS_connect = 42;
/** struct sockaddr_un */
const address = new HostBuffer(110);

export function unixSocket(type: number): number {
  return hostSyscall(SYS_socket, AF_UNIX, type | O_NONBLOCK | O_CLOEXEC, 0, 0, 0, 0);
}

/** `path`: ASCII, below 108 bytes. */
export function connectUnix(fd: number, path: string): number {
  address.bytes.fill(0);
  address.view.setUint16(0, AF_UNIX, true);
  address.bytes.write(path, 2, 'latin1');
  return hostSyscall(SYS_connect, fd, address.addr, address.size, 0, 0, 0);
}
