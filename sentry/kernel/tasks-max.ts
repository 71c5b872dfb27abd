/** Every task is a host thread: a fork bomb stops here, far below the host's own limit. */
export const TASKS_MAX_DEFAULT = 4096;
