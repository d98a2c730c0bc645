/** Which logs are open: those that are closed are not kept, however many there were. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { ManualClock } from '../../../src/base/clock.ts'
import { silentLogger } from '../../../src/base/logger.ts'
import { SeededRandom } from '../../../src/base/random.ts'
import { HeldLogs } from '../../../src/log/file/held-logs.ts'
import { LogDirectories } from '../../../src/log/file/log-directories.ts'
import { SimulatedFiles } from '../../support/simulated-files.ts'

const kibi = 1024

function directoriesOf(held: HeldLogs): LogDirectories {
  return new LogDirectories({
    files: new SimulatedFiles(),
    clock: new ManualClock(),
    random: new SeededRandom(1),
    logger: silentLogger,
    root: 'streams',
    name: 'stream',
    pageBytes: 16 * kibi,
    firstSegmentBytes: 32 * kibi,
    roomBytesMin: 0,
    held,
  })
}

describe('The logs of a data directory', () => {
  it('are forgotten when they are closed', async () => {
    const held = new HeldLogs()
    const logs = directoriesOf(held)
    for (let id = 1; id <= 5; id++) {
      const log = await logs.open(id, 32 * kibi)
      assert.equal(held.size, 1)
      await log.close()
      assert.equal(held.size, 0)
    }
  })

  it('are known by who opened them last, also when the one before is closed once more', async () => {
    const held = new HeldLogs()
    const logs = directoriesOf(held)
    const first = await logs.open(1, 32 * kibi)
    await first.close()
    const second = await logs.open(1, 32 * kibi)
    await first.close()
    assert.equal(held.size, 1)
    await second.close()
    assert.equal(held.size, 0)
  })
})
