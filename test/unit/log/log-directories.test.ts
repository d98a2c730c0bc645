import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ManualClock } from '../../../src/base/clock.ts'
import { SeededRandom } from '../../../src/base/random.ts'
import { LogDirectories, listWholeLogs } from '../../../src/log/file/log-directories.ts'
import { SimulatedFiles } from '../../support/simulated-files.ts'

const kibi = 1024

function directories(files: SimulatedFiles): LogDirectories {
  const sizes = { pageBytes: 16 * kibi, firstSegmentBytes: 32 * kibi, roomBytesMin: 0 }
  return new LogDirectories({
    files,
    clock: new ManualClock(),
    random: new SeededRandom(1),
    root: '/logs',
    name: 'l',
    ...sizes,
  })
}

test('logs are made, listed and removed, each in a directory of its own', async () => {
  const files = new SimulatedFiles({ hasJournal: false })
  const logs = directories(files)
  assert.deepEqual(await logs.list(), [])
  for (const id of [7, 4_294_967_331]) await (await logs.open(id, 40 * kibi)).close()
  assert.deepEqual(await logs.list(), [4_294_967_331, 7])
  await logs.remove(7)
  await logs.remove(7)
  assert.deepEqual(await files.list('/logs'), ['4294967331'])
})

test('what a crash leaves of one that is begun or removed counts as none, and can be removed', async () => {
  for (let failing = 1; ; failing++) {
    const files = new SimulatedFiles({ hasJournal: false })
    const logs = directories(files)
    await (await logs.open(7, 32 * kibi)).close()
    await files.makeDirectory('/logs/8')
    let changes = 0
    files.fault = ({ kind }) => (['remove', 'rename'].includes(kind) && ++changes === failing ? 'EIO' : null)
    const failed = await logs.remove(7).then(
      () => false,
      () => true,
    )
    files.fault = null
    if (!failed) {
      assert.ok(failing > 4, `${failing} steps failed`)
      break
    }
    const whole = await listWholeLogs(files, '/logs')
    assert.deepEqual(whole, failing === 1 ? [7] : [], `step ${failing}`)
    for (const id of await logs.list()) await logs.remove(id)
    assert.deepEqual(await files.list('/logs'), [])
  }
})
