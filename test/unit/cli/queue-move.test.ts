import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { ConfirmedSender, onTheirWayMax, QueueMove } from '../../../src/cli/migrate/queue-move.ts'
import type { ConsumerEvents, Delivery, DriverChannel, OutgoingMessage } from '../../../src/client/driver/driver.ts'

/** A queue that gives all it has, up to so many unacked; a cluster that confirms, and a disk that stores, when they are told to. */
class Rig {
  readonly published: OutgoingMessage[] = []
  readonly acked: number[] = []
  readonly failures: Error[] = []
  readonly move: QueueMove
  #events: ConsumerEvents | null = null
  #stores: (() => void)[] = []
  #delivered = 0
  readonly #sender: ConfirmedSender

  constructor() {
    const failed = (error: Error): void => void this.failures.push(error)
    this.#sender = new ConfirmedSender(failed)
    const target: Partial<DriverChannel> = { publish: (message) => this.published.push(message) }
    this.#sender.channel = target as DriverChannel
    const channel: Partial<DriverChannel> = {
      consume: async (_queue, _options, events) => {
        this.#events = events
        return 'tag'
      },
      ack: (deliveryTag) => void this.acked.push(deliveryTag),
      qos: async () => {},
    }
    const whenStored = (): Promise<void> => new Promise((resolve) => this.#stores.push(resolve))
    const source = { channel: channel as DriverChannel, whenStored }
    this.move = new QueueMove('q', source, this.#sender, { moved: () => {}, failed })
  }

  /** What the credit of those that are acked lets come. */
  deliver(): void {
    while (this.#delivered - this.acked.length < onTheirWayMax) {
      const deliveryTag = ++this.#delivered
      const delivery: Partial<Delivery> = { deliveryTag, properties: {}, body: Buffer.from(String(deliveryTag)) }
      this.#events?.delivered(delivery as Delivery)
    }
  }

  confirm(first: number, last: number): void {
    for (let sequence = first; sequence <= last; sequence++) this.#sender.confirmed(sequence, false, false)
  }

  async store(): Promise<void> {
    await turn()
    for (const done of this.#stores.splice(0)) done()
    await turn()
  }
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

describe('a queue that is moved', () => {
  it('has no more on its way than may be there twice: what was acked counts until it is on the disk', async () => {
    const rig = new Rig()
    await rig.move.start(() => null)
    rig.deliver()
    assert.equal(rig.published.length, onTheirWayMax)
    rig.confirm(1, 10)
    rig.deliver()
    await turn()
    assert.equal(rig.acked.length, 10)
    assert.deepEqual([rig.published.length, rig.move.moved], [onTheirWayMax, 0])
    // Confirmed after the disk was asked: it says nothing of these.
    rig.confirm(11, 30)
    rig.deliver()
    await rig.store()
    assert.deepEqual([rig.published.length, rig.move.moved], [onTheirWayMax + 10, 10])
    await rig.store()
    assert.deepEqual([rig.published.length, rig.move.moved], [onTheirWayMax + 30, 30])
    const bodies = rig.published.map(({ body }) => Number(Buffer.from(body)))
    assert.deepEqual(
      bodies,
      bodies.map((_, index) => index + 1),
    )
    assert.deepEqual(rig.failures, [])
  })
})
