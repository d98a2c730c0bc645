/** Definitions at the start: what passes is waited for, what is wrong in the file ends the start at once. */
import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { SystemClock } from '../../src/base/clock.ts'
import { silentLogger } from '../../src/base/logger.ts'
import { SystemFiles } from '../../src/base/system-files.ts'
import type { Broker } from '../../src/broker/broker.ts'
import { DefinitionsError } from '../../src/broker/definitions/entry.ts'
import { BrokerError } from '../../src/broker/errors.ts'
import { configWith } from '../../src/config.ts'
import { loadDefinitions } from '../../src/load-definitions.ts'

// The clock's own timers keep no process alive.
const alive = setInterval(() => {}, 1_000)
after(() => clearInterval(alive))
const world = { logger: silentLogger, files: new SystemFiles(), clock: new SystemClock() }

/** Fails with these, one after the other, and then imports. */
function failing(...errors: Error[]): { broker: Broker; tries: () => number } {
  let tries = 0
  const importDefinitions = async (): Promise<{ warnings: string[] }> => {
    const error = errors[tries++]
    if (error !== undefined) throw error
    return { warnings: [] }
  }
  return { broker: { importDefinitions } as unknown as Broker, tries: () => tries }
}

void test('definitions are tried again while nothing can be stored', async () => {
  const { broker, tries } = failing(new BrokerError('internal-error', 'definitions cannot be stored at the moment'))
  await loadDefinitions(configWith({}), world, broker, '{}')
  assert.equal(tries(), 2)
})

void test('definitions that are wrong end the start', async () => {
  const { broker, tries } = failing(new DefinitionsError("queues[0] ('q'): no such type"))
  await assert.rejects(loadDefinitions(configWith({}), world, broker, '{}'), /cannot be imported: queues\[0\]/)
  assert.equal(tries(), 1)
})
