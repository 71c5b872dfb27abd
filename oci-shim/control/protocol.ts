/**
 * The control protocol between the CLI and stubs (outside) and the sentry, on the stream socket `control.sock` of the
 * sandbox's state directory. Frames: u32 length of the payload, u32 type, payload; little-endian. One request per
 * connection; its first byte may carry descriptors. launcher.h has the numbers for the native stubs.
 */

export const FRAME_HEADER = 8;
/** A process.json with arguments and environment of any size Linux takes. */
export const FRAME_MAX = 4 << 20;
/** Descriptors that may come along with a request. */
export const DONATED_MAX = 16;

/** A request as JSON: `ControlRequest`. */
export const FRAME_REQUEST = 64;
/** The answer as JSON: `ControlReply`. */
export const FRAME_REPLY = 65;
/** i32: deliver this signal to the process of the connection (exec and member stubs). */
export const FRAME_SIGNAL = 66;
/** i32: the process of the connection has ended with this wait status. */
export const FRAME_EXIT = 67;

export const CONTROL_VERSION = 1;
export const CONTROL_SOCKET = 'control.sock';

export interface ControlRequest {
  readonly v: typeof CONTROL_VERSION;
  readonly op: string;
  /** Container the request is about. */
  readonly id: string;
  readonly [field: string]: unknown;
}

export type ControlReply =
  | { readonly ok: true; readonly [field: string]: unknown }
  | { readonly ok: false; readonly error: string; readonly exitCode: number };
