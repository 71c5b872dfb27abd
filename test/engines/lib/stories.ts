/** Stories of containers that are told by runc and by runsc-ts under the same dockerd, and have to be the same. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { needed, startDockerd, type Dockerd, type DockerdOptions, type Result } from './dockerd.ts';
import { missing } from './programs.ts';
import { until } from './until.ts';

/** Tells a story; returns what it observes, in order. */
export type Story = (c: Container) => unknown[] | Promise<unknown[]>;

let serial = 0;

const full = process.env['RUNSC_TS_FULL'] !== undefined;

/** The container of one story; others have names that begin with its own. */
export class Container {
  readonly name = `c${serial++}`;
  readonly daemon: Dockerd;
  readonly runtime: string;

  constructor(daemon: Dockerd, runtime: string) {
    this.daemon = daemon;
    this.runtime = runtime;
  }

  docker(...args: string[]): Result {
    return this.daemon.docker(args);
  }

  run(options: readonly string[], ...command: string[]): Result {
    return this.docker(
      'run',
      '--runtime',
      this.runtime,
      '--name',
      this.name,
      ...options,
      'busybox',
      ...command,
    );
  }

  /** A second container that is removed at its end. */
  other(options: readonly string[], ...command: string[]): Result {
    return this.docker('run', '--rm', '--runtime', this.runtime, ...options, 'busybox', ...command);
  }

  exec(...args: string[]): Result {
    return this.docker('exec', this.name, ...args);
  }

  inspect(field: string): string {
    return this.docker('inspect', '--format', `{{${field}}}`, this.name).stdout.trim();
  }

  /** Waits until the container has written `line` to its log. */
  logged(line: string): void {
    const log = (): string => this.docker('logs', this.name).stdout;
    until(`"${line}" in the log`, () => log().split(/\r?\n/).includes(line), log);
  }

  /** Waits until a shell command succeeds in the container. */
  holds(condition: string): void {
    until(condition, () => this.exec('sh', '-c', condition).status === 0);
  }

  remove(): void {
    this.docker('rm', '--force', this.name);
  }
}

/** What a user sees of a command. */
export const seen = (r: Result): unknown => [
  r.status,
  r.stdout,
  r.stderr.replace(/\bc\d+\b/g, 'NAME').replace(/[0-9a-f]{64}/g, 'ID'),
];

/**
 * Makes a test of each story, or of each n-th (`every`) unless all are asked for by `npm run test:full`. `programs` are needed
 * besides those of the daemon, by their Debian packages.
 */
export function tellStories(
  title: string,
  stories: Readonly<Record<string, Story>>,
  programs: Readonly<Record<string, string>> = {},
  options: DockerdOptions & { readonly every?: number } = {},
): void {
  const chosen = Object.entries(stories).filter((_, i) => full || i % (options.every ?? 1) === 0);
  const lacking = missing({ ...needed, ...programs });
  if (lacking.length > 0) console.log(`SKIPPED: ${title}: needs ${lacking.join(', ')}`);
  let daemon: Dockerd;
  describe.skipIf(lacking.length > 0)(title, () => {
    beforeAll(async () => {
      daemon = await startDockerd(options);
    }, 300_000);
    afterAll(async () => {
      await daemon?.stop();
    }, 120_000);

    test.each(chosen)('%s', async (_name, story) => {
      const told: unknown[][] = [];
      for (const runtime of ['runc', process.env['RUNTIME'] ?? 'runsc-ts']) {
        const c = new Container(daemon, runtime);
        try {
          told.push(await story(c));
        } finally {
          c.remove();
        }
      }
      expect(told[1]).toEqual(told[0]);
    });
  });
}
