/** When publishers are blocked, and when they may go on. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Alarms, diskCheckMs, memoryCheckMs } from '../../src/alarms.ts'
import { ManualClock } from '../../src/base/clock.ts'
import { silentLogger } from '../../src/base/logger.ts'

describe('alarms', () => {
  it('raise the memory alarm above the watermark and clear it well below', async () => {
    const { world, raised, clock } = await watch({ usedBytes: 50 })
    assert.deepEqual(raised(), [])
    world.usedBytes = 101
    clock.advance(memoryCheckMs)
    assert.deepEqual(raised(), ['memory'])
    world.usedBytes = 98
    clock.advance(memoryCheckMs)
    assert.deepEqual(raised(), ['memory'])
    world.usedBytes = 94
    clock.advance(memoryCheckMs)
    assert.deepEqual(raised(), [])
  })

  it('clear the memory alarm when what was in use is free, though the process does not give it back', async () => {
    const { world, raised, clock } = await watch({ usedBytes: 50, inUseBytes: 45 })
    const isOn = (resident: number, inUse: number): boolean => {
      world.usedBytes = resident
      world.inUseBytes = inUse
      clock.advance(memoryCheckMs)
      return raised().includes('memory')
    }
    assert.equal(isOn(110, 100), true)
    assert.equal(isOn(110, 90), true, 'within five percent of the watermark')
    assert.equal(isOn(110, 60), false)
    assert.equal(isOn(110, 85), false, 'used again')
    assert.equal(isOn(112, 95), true)
    assert.equal(isOn(112, 50), false)
    assert.equal(isOn(151, 50), true, 'close to the limit all of it counts')
    assert.equal(isOn(140, 50), false)
  })

  it('count what was never in use by objects of the program in whole', async () => {
    const { world, raised, clock } = await watch({ usedBytes: 50, inUseBytes: 45 })
    world.usedBytes = 101
    clock.advance(10 * memoryCheckMs)
    assert.deepEqual(raised(), ['memory'])
    world.usedBytes = 60
    clock.advance(memoryCheckMs)
    assert.deepEqual(raised(), [])
    // What was given back once is not taken for kept.
    world.usedBytes = 101
    clock.advance(memoryCheckMs)
    assert.deepEqual(raised(), ['memory'])
  })

  it('raise the disk alarm before there are publishers', async () => {
    assert.deepEqual((await watch({ freeBytes: 999 })).raised(), ['disk'])
  })

  it('look at the disk often when it gets tight, and clear the alarm well above', async () => {
    const { world, raised, clock } = await watch({ freeBytes: 1_500 })
    world.freeBytes = 900
    await advance(clock, diskCheckMs / 10)
    assert.deepEqual(raised(), ['disk'])
    world.freeBytes = 1_040
    await advance(clock, diskCheckMs / 10)
    assert.deepEqual(raised(), ['disk'])
    world.freeBytes = 1_060
    await advance(clock, diskCheckMs / 10)
    assert.deepEqual(raised(), [])
  })

  it('hold the disk alarm as long as disk or log has no room', async () => {
    const { world, raised, clock, alarms } = await watch({ freeBytes: 999 })
    alarms.setLogFull(true)
    world.freeBytes = 10_000
    await advance(clock, diskCheckMs)
    assert.deepEqual(raised(), ['disk'])
    alarms.setLogFull(false)
    assert.deepEqual(raised(), [])
  })

  it('report what was so before they had anyone to report to', async () => {
    const { raised } = await watch({}, (alarms) => alarms.setLogFull(true))
    assert.deepEqual(raised(), ['disk'])
  })

  it('raise nothing when free space cannot be read, and go on looking', async () => {
    const { world, raised, clock } = await watch({ freeBytes: null })
    assert.deepEqual(raised(), [])
    world.freeBytes = 1
    await advance(clock, diskCheckMs)
    assert.deepEqual(raised(), ['disk'])
  })

  it('leave no timer behind', async () => {
    const { world, raised, clock, alarms } = await watch({})
    alarms.stop()
    world.usedBytes = 1_000
    world.freeBytes = 0
    await advance(clock, 10 * diskCheckMs)
    assert.deepEqual(raised(), [])
  })
})

interface FakeWorld {
  usedBytes: number
  /** Left out: all of `usedBytes`. */
  inUseBytes?: number
  /** Null: the system refuses to say. */
  freeBytes: number | null
}

async function watch(given: Partial<FakeWorld>, before: (alarms: Alarms) => void = () => {}) {
  const world: FakeWorld = { usedBytes: 0, freeBytes: 1_000_000, ...given }
  const clock = new ManualClock()
  const alarms = new Alarms({
    clock,
    memory: {
      limitBytes: 200,
      usedBytes: () => world.usedBytes,
      inUseBytes: () => world.inUseBytes ?? world.usedBytes,
    },
    files: {
      freeBytes: async () => {
        if (world.freeBytes === null) throw new Error('EIO')
        return world.freeBytes
      },
    },
    logger: silentLogger,
    directory: '/data',
    memoryBytesMax: 100,
    diskFreeBytesMin: 1_000,
  })
  const raised = new Set<string>()
  before(alarms)
  await alarms.start({ setAlarm: (reason, isOn) => void (isOn ? raised.add(reason) : raised.delete(reason)) })
  return { world, clock, alarms, raised: () => [...raised] }
}

/** The disk is read asynchronously: let that come to its end after the time has moved. */
async function advance(clock: ManualClock, ms: number): Promise<void> {
  clock.advance(ms)
  await new Promise<void>((resolve) => clock.soon(resolve))
}
