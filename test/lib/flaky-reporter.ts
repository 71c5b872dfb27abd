import type { Reporter, TestCase } from 'vitest/node';

/**
 * Names the tests that passed only when they were repeated. Engines and storms depend on the machine's load, so one repeat is
 * allowed (`retry` in vitest.config.ts), but none in silence: each line here is a race to be explained.
 */
export default class FlakyReporter implements Reporter {
  readonly #flaky: string[] = [];

  onTestCaseResult(test: TestCase): void {
    const flaky = test.diagnostic()?.flaky === true;
    const { state, errors } = test.result();
    if (!flaky && state !== 'failed') return;
    const line = `${test.module.relativeModuleId} ${test.fullName}: ${errors?.[0]?.message ?? 'no message'}`;
    // A failure is told at once: the run may hang behind it.
    if (flaky) this.#flaky.push(`FLAKY ${line}`);
    else console.log(`\nFAILED ${line}`);
  }

  onTestRunEnd(): void {
    for (const line of this.#flaky) console.log(line);
  }
}
