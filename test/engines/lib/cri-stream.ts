/**
 * Streams of CRI's Exec, Attach and PortForward over WebSocket: protocol v4.channel.k8s.io, where the first byte of every message
 * names its channel.
 */
import { spawn } from 'node:child_process';
import type { Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { WebSocket } from 'ws';
import type { Containerd } from './containerd.ts';

/** Channels of Exec and Attach. */
export const STDIN = 0;
export const STDOUT = 1;
export const STDERR = 2;
const STATUS = 3;
const RESIZE = 4;

export class CriStream {
  private readonly socket: WebSocket;
  private readonly received: Buffer[][] = [];
  private readonly ended: Promise<void>;

  private constructor(socket: WebSocket) {
    this.socket = socket;
    this.ended = new Promise((resolve) => socket.once('close', () => resolve()));
    socket.on('message', (data: Buffer) => {
      (this.received[data[0]!] ??= []).push(data.subarray(1));
    });
  }

  /** The server listens where the daemon's network is: the way there is a process in it. */
  static async open(daemon: Containerd, url: string): Promise<CriStream> {
    const { port } = new URL(url);
    const [file, ...args] = daemon.enter(['busybox', 'nc', '127.0.0.1', port]) as [string, ...string[]];
    const way = spawn(file, args, { stdio: ['pipe', 'pipe', 'ignore'] });
    const duplex = Duplex.from({ readable: way.stdout, writable: way.stdin });
    const socket = new WebSocket(url.replace(/^http/, 'ws'), ['v4.channel.k8s.io'], {
      createConnection: () => duplex as Socket,
    });
    const stream = new CriStream(socket);
    socket.once('close', () => way.kill());
    await new Promise<void>((resolve, reject) => {
      socket.once('open', () => resolve());
      socket.once('error', reject);
    });
    return stream;
  }

  send(channel: number, data: string | Buffer): void {
    this.socket.send(Buffer.concat([Buffer.from([channel]), Buffer.from(data)]));
  }

  resize(columns: number, rows: number): void {
    this.send(RESIZE, JSON.stringify({ Width: columns, Height: rows }));
  }

  text(channel: number): string {
    return Buffer.concat(this.received[channel] ?? []).toString('latin1');
  }

  /** Output, errors and the final status when the other side has closed. */
  async all(): Promise<unknown[]> {
    await this.ended;
    return [this.text(STDOUT), this.text(STDERR), this.text(STATUS).replace(/[0-9a-f]{64}/g, 'ID')];
  }

  close(): void {
    this.socket.close();
  }
}
