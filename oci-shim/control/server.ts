/** The sentry's end of the control socket. Whoever can reach it may do everything to the sandbox's containers. */
import { HostBuffer } from '../../sentry/host/memory.ffi.ts';
import { HOST_EPOLLIN, hostPoller } from '../../sentry/host/poller.ffi.ts';
import { close, pread } from '../../sentry/host/sys.ffi.ts';
import { MSG_PING, MSG_PONG } from '../../platform-ptrace/confine/launcher-protocol.ts';
import {
  CONTROL_VERSION,
  MSG_REPLY,
  MSG_REQUEST,
  REPLY_MAX,
  REQUEST_MAX,
  type ControlReply,
  type ControlRequest,
} from './protocol.ts';
import { accept, CLOSED, NOTHING, receive, send, type Message } from './socket.ts';

/** Handles one request; `fds` are its to close or keep. Answers with `connection.reply`, now or later. */
export type RequestHandler = (request: ControlRequest, fds: number[], connection: Connection) => void;

export class Connection {
  readonly fd: number;
  /** After the request: messages of a stub. */
  onMessage: ((m: Message) => void) | null = null;
  /** The peer is gone. */
  onClose: (() => void) | null = null;
  private readonly handler: RequestHandler;
  private asked = false;
  private open = true;

  constructor(fd: number, handler: RequestHandler) {
    this.fd = fd;
    this.handler = handler;
    hostPoller().add(fd, HOST_EPOLLIN, () => this.onReadable());
  }

  private onReadable(): void {
    while (this.open) {
      const m = receive(this.fd, false);
      if (m === NOTHING) return;
      if (m === CLOSED) this.close();
      else if (m.type === MSG_PING) this.send(MSG_PONG, m.value);
      else if (m.type === MSG_REQUEST && !this.asked) this.request(m);
      else {
        for (const f of m.fds) close(f);
        this.onMessage?.(m);
      }
    }
  }

  private request(m: Message): void {
    this.asked = true;
    const [memfd, ...fds] = m.fds;
    const text = memfd === undefined ? null : readAll(memfd, m.value);
    if (memfd !== undefined) close(memfd);
    try {
      if (text === null) throw new Error('a request without its text');
      const request = JSON.parse(text) as ControlRequest;
      if (request.v !== CONTROL_VERSION) throw new Error(`protocol version ${request.v} is not known`);
      this.handler(request, fds, this);
    } catch (e) {
      this.fail((e as Error).message);
    }
  }

  reply(fields: Record<string, unknown> = {}): void {
    this.answer({ ok: true, ...fields });
  }

  fail(error: string, exitCode = 1): void {
    this.answer({ ok: false, error, exitCode });
  }

  private answer(reply: ControlReply): void {
    const text = JSON.stringify(reply);
    if (Buffer.byteLength(text) > REPLY_MAX) this.fail('the answer is too long');
    else this.send(MSG_REPLY, 0, text);
  }

  send(type: number, value: number, text = ''): void {
    if (this.open) send(this.fd, type, value, text);
  }

  close(): void {
    if (!this.open) return;
    this.open = false;
    hostPoller().remove(this.fd);
    close(this.fd);
    this.onClose?.();
  }
}

function readAll(memfd: number, length: number): string | null {
  if (length < 0 || length > REQUEST_MAX) return null;
  const buffer = new HostBuffer(Math.max(length, 1));
  for (let at = 0; at < length;) {
    const r = pread(memfd, buffer.addr + at, length - at, at);
    if (r <= 0) return null;
    at += r;
  }
  return buffer.bytes.toString('utf8', 0, length);
}

/** Accepts connections on `listenFd` from the sandbox's poller. */
export function serveControl(listenFd: number, handler: RequestHandler): void {
  hostPoller().add(listenFd, HOST_EPOLLIN, () => {
    for (let fd = accept(listenFd); fd >= 0; fd = accept(listenFd)) new Connection(fd, handler);
  });
}
