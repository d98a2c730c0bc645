/**
 * A reporter for Node's test runner that counts, and keeps a line for each test that failed: one line of JSON when
 * everything has run. `test.mjs` adds up the lines of several runs. Suites and files count for nothing, as in the
 * runner's own summary.
 */
import { relative } from 'node:path'

/** Failures that are named; more of them are only counted. */
const failuresMax = 20
/** Characters of one. */
const lineLengthMax = 600

export default async function* count(events) {
  const counts = { passed: 0, failed: 0, skipped: 0, failures: [] }
  for await (const { type, data } of events) {
    if (type !== 'test:pass' && type !== 'test:fail') continue
    if (type === 'test:fail' && isWorthALine(data) && counts.failures.length < failuresMax) {
      counts.failures.push(failureOf(data))
    }
    if (data.details?.type === 'suite') continue
    if (data.skip !== undefined) counts.skipped += 1
    else if (type === 'test:pass') counts.passed += 1
    else counts.failed += 1
  }
  yield `${JSON.stringify(counts)}\n`
}

/** A suite fails with its tests, which have lines of their own, or by what it does before and after them. */
function isWorthALine({ details }) {
  return details?.type !== 'suite' || details.error?.failureType !== 'subtestsFailed'
}

/** File, name and reason in one line. */
function failureOf({ file, name, details }) {
  const reason = details?.error?.cause?.message ?? details?.error?.message ?? 'no reason given'
  const where = file === undefined ? '' : `${relative(process.cwd(), file)}: `
  return `${where}${name}: ${reason}`.replace(/\s+/g, ' ').slice(0, lineLengthMax)
}
