/** Pods and their containers, as a kubelet makes them by CRI calls. */
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Containerd, IMAGE } from './containerd.ts';
import type { CriClient, Message } from './cri.ts';
import { CriStream } from './cri-stream.ts';

/** What `f` gives when it gives something, asked again and again. */
export async function eventually<T>(f: () => Promise<T | null | undefined | false>): Promise<T> {
  const deadline = Date.now() + 60_000;
  for (;;) {
    const r = await f();
    if (r !== null && r !== undefined && r !== false) return r;
    if (Date.now() > deadline) throw new Error(`never came true: ${f.toString()}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** What a call that has to fail says. */
export async function failure(call: Promise<unknown>): Promise<string> {
  let r: unknown;
  try {
    r = await call;
  } catch (e) {
    return (e as Error).message.replace(/[0-9a-f]{64}/g, 'ID').replace('runc create failed: ', '');
  }
  throw new Error(`succeeded: ${JSON.stringify(r)}`);
}

/** The runtimes of a node, told apart by RuntimeClass: `runtime_handler`. */
export class Node {
  readonly daemon: Containerd;
  readonly cri: CriClient;
  readonly handler: string;
  private serial = 0;
  private pods: Pod[] = [];

  constructor(daemon: Containerd, cri: CriClient, handler: string) {
    this.daemon = daemon;
    this.cri = cri;
    this.handler = handler;
  }

  /** Returns when the CRI plugin and its network are up. */
  async ready(): Promise<void> {
    await eventually(async () => {
      try {
        const { status } = await this.cri.call<{ status: { conditions: { status: boolean }[] } }>('Status');
        return status.conditions.every((c) => c.status);
      } catch {
        return false; // not yet initialized
      }
    });
  }

  /** `fields` of LinuxPodSandboxConfig and PodSandboxConfig beside those that every pod has. */
  async pod(fields: Message = {}, linux: Message = {}): Promise<Pod> {
    const name = `pod${this.serial++}`;
    const uid = `${this.handler}-${name}`;
    const logs = join(this.daemon.dir, 'logs', uid);
    mkdirSync(logs, { recursive: true });
    const config = {
      metadata: { name, uid, namespace: 'default' },
      hostname: 'box',
      log_directory: logs,
      ...fields,
      linux: {
        cgroup_parent: `/${this.daemon.name}/${uid}`,
        security_context: { namespace_options: { pid: 'CONTAINER' } },
        ...linux,
      },
    };
    const request = { config, runtime_handler: this.handler };
    const { pod_sandbox_id: id } = await this.cri.call<{ pod_sandbox_id: string }>('RunPodSandbox', request);
    const pod = new Pod(this, id, config);
    this.pods.push(pod);
    return pod;
  }

  async stream(method: string, request: Message): Promise<CriStream> {
    const { url } = await this.cri.call<{ url: string }>(method, request);
    return CriStream.open(this.daemon, url);
  }

  /** Those that are left of what was made here. */
  async removePods(): Promise<void> {
    for (const p of this.pods) await p.remove();
    this.pods = [];
  }
}

export interface PodStatus {
  readonly state: string;
  readonly runtime_handler: string;
  readonly network: { readonly ip: string } | null;
}

export interface ContainerOptions {
  /** Beside LinuxContainerSecurityContext's pid namespace. */
  readonly security?: Message;
  readonly resources?: Message;
  /** Of ContainerConfig. */
  readonly fields?: Message;
  /** Default: one of its own. */
  readonly pids?: 'POD' | 'CONTAINER' | 'TARGET';
  readonly target?: string;
}

export class Pod {
  readonly node: Node;
  readonly id: string;
  readonly config: Message;
  private serial = 0;
  private containers: PodContainer[] = [];

  constructor(node: Node, id: string, config: Message) {
    this.node = node;
    this.id = id;
    this.config = config;
  }

  /** Created, not started. */
  async create(command: readonly string[], options: ContainerOptions = {}): Promise<PodContainer> {
    const name = `c${this.serial++}`;
    const { security = {}, resources = {}, fields = {}, pids = 'CONTAINER', target = '' } = options;
    const config = {
      metadata: { name },
      image: { image: IMAGE },
      command,
      log_path: `${name}.log`,
      ...fields,
      linux: {
        resources,
        security_context: { namespace_options: { pid: pids, target_id: target }, ...security },
      },
    };
    const request = { pod_sandbox_id: this.id, config, sandbox_config: this.config };
    const reply = await this.node.cri.call<{ container_id: string }>('CreateContainer', request);
    const c = new PodContainer(
      this,
      reply.container_id,
      join(this.config['log_directory'] as string, config.log_path),
    );
    this.containers.push(c);
    return c;
  }

  /** A shell's script, started. */
  async run(script: string, options: ContainerOptions = {}): Promise<PodContainer> {
    const c = await this.create(['/bin/sh', '-c', script], options);
    await c.start();
    return c;
  }

  /** Runs a script to its end: exit code and output. */
  async output(script: string, options: ContainerOptions = {}): Promise<unknown> {
    const c = await this.run(script, options);
    const { exit_code } = await c.ended();
    const log = c.log();
    await c.remove();
    return [exit_code, log];
  }

  async status(): Promise<PodStatus> {
    const request = { pod_sandbox_id: this.id };
    return (await this.node.cri.call<{ status: PodStatus }>('PodSandboxStatus', request)).status;
  }

  /** Host pid of its first container. */
  async pid(): Promise<number> {
    const request = { pod_sandbox_id: this.id, verbose: true };
    const { info } = await this.node.cri.call<{ info: { info: string } }>('PodSandboxStatus', request);
    return (JSON.parse(info.info) as { pid: number }).pid;
  }

  forward(port: number): Promise<CriStream> {
    return this.node.stream('PortForward', { pod_sandbox_id: this.id, port: [port] });
  }

  /** Those that are left of what was made here. */
  async removeContainers(): Promise<void> {
    for (const c of this.containers) await c.remove();
    this.containers = [];
  }

  stop(): Promise<Message> {
    return this.node.cri.call('StopPodSandbox', { pod_sandbox_id: this.id });
  }

  remove(): Promise<Message> {
    return this.node.cri.call('RemovePodSandbox', { pod_sandbox_id: this.id });
  }
}

export interface ContainerStatus {
  readonly state: string;
  readonly exit_code: number;
  readonly reason: string;
  readonly message: string;
}

export class PodContainer {
  readonly pod: Pod;
  readonly id: string;
  readonly logFile: string;

  constructor(pod: Pod, id: string, logFile: string) {
    this.pod = pod;
    this.id = id;
    this.logFile = logFile;
  }

  private call<T extends object = Message>(method: string, fields: Message = {}): Promise<T> {
    return this.pod.node.cri.call<T>(method, { container_id: this.id, ...fields });
  }

  start(): Promise<Message> {
    return this.call('StartContainer');
  }

  stop(timeout: number): Promise<Message> {
    return this.call('StopContainer', { timeout });
  }

  remove(): Promise<Message> {
    return this.call('RemoveContainer');
  }

  update(linux: Message): Promise<Message> {
    return this.call('UpdateContainerResources', { linux });
  }

  async status(): Promise<ContainerStatus> {
    return (await this.call<{ status: ContainerStatus }>('ContainerStatus')).status;
  }

  async pid(): Promise<number> {
    const { info } = await this.call<{ info: { info: string } }>('ContainerStatus', { verbose: true });
    return (JSON.parse(info.info) as { pid: number }).pid;
  }

  ended(): Promise<ContainerStatus> {
    return eventually(async () => {
      const status = await this.status();
      return status.state === 'CONTAINER_EXITED' && status;
    });
  }

  /** Exit code, output and errors of a command in it. */
  async exec(cmd: readonly string[], timeout = 0): Promise<[number, string, string]> {
    const r = await this.call<{ exit_code: number; stdout: Buffer; stderr: Buffer }>('ExecSync', {
      cmd,
      timeout,
    });
    return [r.exit_code, r.stdout.toString('latin1'), r.stderr.toString('latin1')];
  }

  sh(script: string): Promise<[number, string, string]> {
    return this.exec(['/bin/sh', '-c', script]);
  }

  /** A command with streams; with `tty` a single one for its output. */
  execStream(cmd: readonly string[], tty: boolean): Promise<CriStream> {
    const request = { container_id: this.id, cmd, tty, stdin: true, stdout: true, stderr: !tty };
    return this.pod.node.stream('Exec', request);
  }

  attach(tty: boolean): Promise<CriStream> {
    return this.pod.node.stream('Attach', {
      container_id: this.id,
      tty,
      stdin: true,
      stdout: true,
      stderr: !tty,
    });
  }

  stats<T extends object>(): Promise<T> {
    return this.call<{ stats: T }>('ContainerStats').then((r) => r.stats);
  }

  reopenLog(): Promise<Message> {
    return this.call('ReopenContainerLog');
  }

  /** Tag and text of the lines of each stream in its log, `TIME STREAM TAG TEXT`; the order between streams is nobody's. */
  log(): Record<string, string[]> {
    const streams: Record<string, string[]> = { stdout: [], stderr: [] };
    for (const line of readFileSync(this.logFile, 'utf8').split('\n').filter(Boolean)) {
      const [, stream, entry] =
        /^\d{4}-\d\d-\d\dT[\d:.]+(?:Z|[+-][\d:]+) (stdout|stderr) ([PF] .*)$/.exec(line) ?? [];
      if (stream === undefined) throw new Error(`not a line of a log: ${line}`);
      streams[stream]!.push(entry!);
    }
    return streams;
  }
}
