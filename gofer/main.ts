/**
 * The gofer process, started by the launcher with the descriptors of launcher-protocol.ts. Everything is loaded before
 * it says that it is ready; after the go message it is in a root that holds the served trees and its own /proc only.
 * Then it serves requests one by one until the sentry closes the connection. The Node event loop never runs.
 */
import { readFileSync } from 'node:fs';
import { EINTR } from '../sentry/abi/errno.ts';
import { openFileLimit } from '../sentry/host/descriptors.ffi.ts';
import { HostBuffer } from '../sentry/host/memory.ffi.ts';
import { runProgram } from '../sentry/host/program.ts';
import { write } from '../sentry/host/sys.ffi.ts';
import { closeFd } from './host/fs.ffi.ts';
import { ControlChannel } from '../platform-ptrace/confine/control-channel.ts';
import { lockGofer } from '../platform-ptrace/confine/lockdown.ts';
import {
  GOFER_CONFIG_FD,
  GOFER_CONTROL_FD,
  GOFER_SENTRY_FD,
} from '../platform-ptrace/confine/launcher-protocol.ts';
import { receivePacket, sendPacket, sendPacketWithFd } from './protocol/socket.ffi.ts';
import { MESSAGE_MAX } from './protocol/layout.ts';
import { parseGoferConfig } from './server/config.ts';
import { ProtocolError } from './server/context.ts';
import { InodeTable } from './server/inode-table.ts';
import { makeServer } from './server/make-server.ts';
import type { GoferServer } from './server/server.ts';

/** Inodes the sentry may hold at a time; its own caches are smaller. */
const INODES_MAX = 1 << 20;
/** Descriptors not used for the inode cache: Node's own, mount roots, short-lived ones. */
const FDS_RESERVED = 64;
const FDS_MAX = 16384;

const message = new HostBuffer(4096);

function say(text: string): void {
  const n = message.bytes.write(`gofer: ${text}\n`.slice(0, message.size), 0, 'latin1');
  write(2, message.addr, n);
}

function serve(socket: number, server: GoferServer): void {
  for (;;) {
    const n = receivePacket(socket, server.request.addr, MESSAGE_MAX);
    if (n === -EINTR) continue;
    if (n === 0) return;
    if (n < 0) throw new Error(`receive: errno ${-n}`);
    const length = server.handle(n);
    const donation = server.takeDonation();
    let r: number;
    do {
      r =
        donation >= 0
          ? sendPacketWithFd(socket, server.reply.addr, length, donation)
          : sendPacket(socket, server.reply.addr, length);
    } while (r === -EINTR);
    if (donation >= 0) closeFd(donation);
    if (r < 0) throw new Error(`send: errno ${-r}`);
  }
}

function main(): void {
  const config = parseGoferConfig(readFileSync(GOFER_CONFIG_FD, 'utf8'));
  closeFd(GOFER_CONFIG_FD);
  const table = new InodeTable(Math.min(openFileLimit() - FDS_RESERVED, FDS_MAX), INODES_MAX);
  warmUp();
  // The launcher gave up before the start.
  if (!new ControlChannel(GOFER_CONTROL_FD).waitForPivot()) return;
  lockGofer(
    config.debugLog,
    config.exports.some((e) => e.hostSockets),
  );
  const server = makeServer(config.exports, table);
  serve(GOFER_SENTRY_FD, server);
}

/** Touches what Node loads lazily, so that nothing has to be read from the old root later. */
function warmUp(): void {
  try {
    throw new ProtocolError('warm-up');
  } catch (e) {
    if (!(e instanceof ProtocolError)) throw e;
    void e.stack;
  }
}

runProgram(() => {
  try {
    main();
    process.exit(0);
  } catch (e) {
    say(e instanceof Error ? e.message : String(e));
    process.exit(1);
  }
});
