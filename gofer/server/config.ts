/** Start-up configuration of the gofer: a JSON document its parent hands over in a file descriptor. */

export interface ExportConfig {
  /** Directory or file in the gofer's root; the launcher puts export N at /N. */
  path: string;
  readOnly: boolean;
  /** Host mounts below `path` are served too, unless they are the kernel's own (proc, sysfs, …). */
  crossMounts: boolean;
  /** Sockets of the host in the tree may be connected to (`--host-uds=open`, or the one of NOTIFY_SOCKET). */
  hostSockets: boolean;
}

export interface GoferConfig {
  exports: ExportConfig[];
  /** Somebody looks closer: system calls that the filter refuses are named. */
  debugLog: boolean;
}

export function parseGoferConfig(text: string): GoferConfig {
  let raw: unknown;
  try {
    raw = JSON.parse(text);
  } catch (e) {
    throw new Error(`gofer config is not JSON: ${(e as Error).message}`, { cause: e });
  }
  const config = (raw ?? {}) as Record<string, unknown>;
  const { exports } = config;
  if (!Array.isArray(exports)) throw new Error('gofer config: "exports" is not a list');
  return {
    exports: exports.map(parseExport),
    debugLog: bool(config, 'debugLog', 'debugLog', false),
  };
}

function parseExport(raw: unknown, index: number): ExportConfig {
  const m = raw as Record<string, unknown> | null;
  const path = m?.['path'] ?? `/${index}`;
  if (typeof path !== 'string' || !path.startsWith('/')) {
    throw new Error(`gofer config: exports[${index}].path is not an absolute path`);
  }
  return {
    path: Buffer.from(path, 'utf8').toString('latin1'),
    readOnly: bool(m, 'readOnly', `exports[${index}].readOnly`, false),
    // The launcher has cloned the tree with the mounts that belong to it.
    crossMounts: bool(m, 'crossMounts', `exports[${index}].crossMounts`, true),
    hostSockets: bool(m, 'hostSockets', `exports[${index}].hostSockets`, false),
  };
}

function bool(m: Record<string, unknown> | null, field: string, name: string, other: boolean): boolean {
  const v = m?.[field];
  if (v === undefined) return other;
  if (typeof v !== 'boolean') throw new Error(`gofer config: ${name} is not a boolean`);
  return v;
}
