/**
 * The control protocol between the CLI and stubs (outside) and the sentry, on the socket `control.sock` of the sandbox's
 * state directory (SOCK_SEQPACKET). A message is the launcher's struct msg {i32 type, i32 value}, maybe with text.
 *
 * A connection starts with one MSG_REQUEST, which carries a memfd with the request as JSON and the descriptors it is about.
 * The sentry answers with one MSG_REPLY. After `exec` and `member` the connection is the process's or the container's: the
 * stub sends MSG_SIGNAL, and its end kills the process; the sentry sends MSG_EXIT.
 */

/** value: bytes of JSON in the first descriptor. */
export const MSG_REQUEST = 64;
/** Text: ControlReply as JSON. */
export const MSG_REPLY = 65;

export const CONTROL_VERSION = 1;
export const CONTROL_SOCKET = 'control.sock';
/** A process.json with arguments and environment of any size Linux takes. */
export const REQUEST_MAX = 8 << 20;
export const REPLY_MAX = 60 * 1024;
/** Descriptors that come along with a request, the memfd included. */
export const REQUEST_FDS_MAX = 253;

export interface ControlRequest {
  readonly v: number;
  readonly op: string;
  /** Container the request is about. */
  readonly id: string;
  readonly [field: string]: unknown;
}

export type ControlReply =
  | { readonly ok: true; readonly [field: string]: unknown }
  | { readonly ok: false; readonly error: string; readonly exitCode: number };
