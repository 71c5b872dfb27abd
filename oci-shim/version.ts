/** Version of the program, as in package.json (a unit test compares them). */
export const VERSION = '0.1.0';

/** Put in by build.js. */
declare const __commit: string | undefined;

/** Of the sources, as `git describe` names it; unknown to a build without git. */
export const COMMIT = typeof __commit === 'string' ? __commit : 'unknown';
/** Of the runtime-spec that is followed. */
export const SPEC_VERSION = '1.2.0';
