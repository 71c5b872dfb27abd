/** Signals that writing raises for the caller itself: SIGPIPE and SIGXFSZ. */
import type { Task } from '../sentry/kernel/task.ts';

export function raisePipe(_t: Task): void {}

export function raiseFileSize(_t: Task): void {}
