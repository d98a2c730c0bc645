import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { ManualClock } from '../../../src/base/clock.ts'
import { MemoryLogs } from '../../../src/log/memory/memory-logs.ts'

describe('memory logs by number', () => {
  it('keep what is in them while they are closed, and forget it when they are removed', async () => {
    const logs = new MemoryLogs(new ManualClock())
    const first = await logs.open(7)
    write(first, 'a')
    await first.close()
    const again = await logs.open(7)
    write(again, 'b')
    assert.equal(again.committed < again.appended, true)
    assert.deepEqual(await read(again), ['a', 'b'])
    await again.close()
    assert.equal(again.committed, again.appended)
    assert.deepEqual(await logs.list(), [7])
    await logs.remove(7)
    assert.deepEqual(await logs.list(), [])
    assert.deepEqual(await read(await logs.open(7)), [])
  })
})

type MemoryLog = Awaited<ReturnType<MemoryLogs['open']>>

function write(log: MemoryLog, text: string): void {
  const at = log.reserve(text.length)
  log.buffer.set(Buffer.from(text), at)
}

async function read(log: MemoryLog): Promise<string[]> {
  const found: string[] = []
  for (const segment of log.segments) {
    await log.replay(segment, (_position, buffer, start, end) => {
      found.push(Buffer.from(buffer.subarray(start, end)).toString())
    })
  }
  return found
}
