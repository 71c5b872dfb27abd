/** A client of the Container Runtime Interface: what a kubelet asks of containerd. */
import { credentials, type ServiceError } from '@grpc/grpc-js';
import * as grpc from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { join } from 'node:path';

/** Messages are plain objects; 64-bit numbers are numbers, enums their names, what is missing has its default. */
export type Message = Record<string, unknown>;

type Method = (
  request: Message,
  options: { deadline: number },
  done: (e: ServiceError | null, reply: Message) => void,
) => void;

const DEADLINE_MS = 120_000;

const definition = loadSync(join(import.meta.dirname, 'cri.proto'), {
  keepCase: true,
  longs: Number,
  enums: String,
  defaults: true,
});
const { runtime } = grpc.loadPackageDefinition(definition) as unknown as {
  runtime: { v1: { RuntimeService: typeof grpc.Client } };
};

export class CriClient {
  private readonly client: grpc.Client;

  constructor(socket: string) {
    this.client = new runtime.v1.RuntimeService(`unix://${socket}`, credentials.createInsecure());
  }

  call<T extends object = Message>(method: string, request: object = {}): Promise<T> {
    const f = (this.client as unknown as Record<string, Method>)[method]!;
    return new Promise((resolve, reject) => {
      f.call(this.client, request as Message, { deadline: Date.now() + DEADLINE_MS }, (e, reply) => {
        if (e === null) resolve(reply as T);
        else reject(new Error(`${method}: ${e.details}`));
      });
    });
  }

  close(): void {
    this.client.close();
  }
}
