/** Version of the program, as in package.json (a unit test compares them). */
export const VERSION = '0.1.0';

/** Of the sources, if the build knew it. */
export const COMMIT = 'unknown';
/** Of the runtime-spec that is followed. */
export const SPEC_VERSION = '1.2.0';
