import type { Reporter, TestCase } from 'vitest/node';

/**
 * Names the tests that passed only when they were repeated. Engines and storms depend on the machine's load, so one repeat is
 * allowed (`retry` in vitest.config.ts), but none in silence: each line here is a race to be explained.
 */
export default class FlakyReporter implements Reporter {
  readonly #flaky: string[] = [];

  onTestCaseResult(test: TestCase): void {
    if (test.diagnostic()?.flaky !== true) return;
    const reason = test.result().errors?.[0]?.message ?? 'no message';
    this.#flaky.push(`FLAKY ${test.module.relativeModuleId} ${test.fullName}: ${reason}`);
  }

  onTestRunEnd(): void {
    for (const line of this.#flaky) console.log(line);
  }
}
