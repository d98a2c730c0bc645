/**
 * A reporter for Node's test runner that only counts: one line of JSON when everything has run. `test.mjs` adds up the
 * lines of several runs. Suites and files count for nothing, as in the runner's own summary.
 */
export default async function* count(events) {
  const counts = { passed: 0, failed: 0, skipped: 0 }
  for await (const { type, data } of events) {
    if (type !== 'test:pass' && type !== 'test:fail') continue
    if (data.details?.type === 'suite') continue
    if (data.skip !== undefined) counts.skipped += 1
    else if (type === 'test:pass') counts.passed += 1
    else counts.failed += 1
  }
  yield `${JSON.stringify(counts)}\n`
}
