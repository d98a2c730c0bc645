/** Named channels, against a broker. The local ones are in test/unit. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { NamedChannel, PushPop } from '../../src/client/index.ts'
import { eventually } from '../support/eventually.ts'
import { broker, name, open, warrenError } from './stage.ts'

const pushing = await open()
const popping = await open()

async function ends(capacity: number): Promise<{ input: NamedChannel<number>; output: NamedChannel<number> }> {
  const queue = name('channel')
  return { input: pushing.channel<number>(queue, { capacity }), output: popping.channel<number>(queue, { capacity }) }
}

async function pushAll(input: PushPop<number>, count: number): Promise<void> {
  for (let value = 0; value < count; value++) await input.push(value)
}

describe('a named channel', () => {
  it('gives what is pushed, in order, to another client', async () => {
    const { input, output } = await ends(10)
    const pushed = pushAll(input, 100)
    const got: (number | undefined)[] = []
    for (let count = 0; count < 100; count++) got.push(await output.pop())
    output.acknowledge()
    await pushed
    assert.deepEqual(
      got,
      Array.from({ length: 100 }, (_, index) => index),
    )
    await Promise.all([input.close(), output.close()])
    assert.equal(await pushing.queue(input.name).delete(), 0)
  })

  it('has push wait while it is full, and keeps the order', async () => {
    const { input, output } = await ends(3)
    let pushed = 0
    const pushes = Array.from({ length: 6 }, (_, value) => input.push(value).then(() => void pushed++))
    await eventually('three are in it', () => pushed === 3)
    await sleep(60)
    assert.equal(pushed, 3)
    assert.equal((await pushing.queue(input.name, { declare: false }).info()).messageCount, 3)
    const got: (number | undefined)[] = []
    while (got.length < 6) got.push(await output.pop())
    await Promise.all(pushes)
    assert.deepEqual(got, [0, 1, 2, 3, 4, 5])
    await output.close()
    await pushing.queue(input.name).delete()
  })

  it('acknowledges by the next pop, or explicitly; what is not goes back', async () => {
    const { input, output } = await ends(5)
    await pushAll(input, 3)
    assert.equal(await output.pop(), 0)
    assert.equal(await output.pop(), 1)
    await output.close()
    assert.equal(await output.pop(), undefined)
    const again = popping.channel<number>(input.name, { capacity: 5 })
    assert.equal(await again.pop(), 1)
    again.acknowledge()
    assert.equal(await again.pop(), 2)
    again.acknowledge()
    await again.close()
    await eventually(
      'nothing is left',
      async () => (await pushing.queue(input.name, { declare: false }).info()).messageCount === 0,
    )
    assert.equal(await pushing.queue(input.name).delete(), 0)
  })

  it('is read by a loop; what is in hand when it is left comes again', async () => {
    const { input, output } = await ends(10)
    await pushAll(input, 4)
    const got: number[] = []
    for await (const value of output) {
      got.push(value)
      if (value === 2) break
    }
    for await (const value of output) {
      got.push(value)
      if (value === 3) output.acknowledge()
      if (value === 3) break
    }
    assert.deepEqual(got, [0, 1, 2, 2, 3])
    await output.close()
    assert.equal(await pushing.queue(input.name).delete(), 0)
  })

  it('lets waiting be aborted, and loses nothing by it', async () => {
    const { input, output } = await ends(1)
    const popped = warrenError(output.pop({ signal: AbortSignal.timeout(80) }))
    assert.equal((await popped).code, 'ABORTED')
    await input.push(1)
    assert.equal(await output.pop(), 1)
    await input.push(2)
    assert.equal((await warrenError(input.push(3, { signal: AbortSignal.timeout(80) }))).code, 'ABORTED')
    const waiting = warrenError(input.push(4))
    await sleep(20)
    await input.close()
    assert.equal((await waiting).code, 'CLOSED')
    assert.equal((await warrenError(input.push(5))).code, 'CLOSED')
    assert.equal(await output.pop(), 2)
    output.acknowledge()
    await output.close()
    await pushing.queue(input.name).delete()
  })

  if (!broker.isExternal) {
    it('keeps what is in it over a restart of the broker, and both ends go on', async () => {
      const { input, output } = await ends(100)
      await pushAll(input, 5)
      assert.equal(await output.pop(), 0)
      assert.equal(await output.pop(), 1)
      await broker.kill()
      await broker.restart()
      await input.push(5)
      const got = new Set<number | undefined>()
      while (!got.has(5)) got.add(await output.pop())
      output.acknowledge()
      // 1 was in hand when the broker was killed, and the acknowledgement of 0 perhaps not on disk: they may come again.
      for (const value of [0, 1]) got.delete(value)
      assert.deepEqual([...got], [2, 3, 4, 5])
      await output.close()
    })
  }
})
