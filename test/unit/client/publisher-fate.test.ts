/** Publishing through seeded mishaps: a broker that confirms when it likes, loses connections, refuses and blocks. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { SeededRandom } from '../../../src/base/random.ts'
import { WarrenError } from '../../../src/client/errors.ts'
import { fakeClient, turns } from './fake-client.ts'
import type { FakeChannel } from './fake-driver.ts'

const unconfirmedMax = 7
const isBad = (number: number): boolean => number % 17 === 5

/** The broker's side of one channel: stores in order up to a message it refuses, which costs the channel. */
class Storing {
  readonly channel: FakeChannel
  #next = 0
  #confirmed = 0

  constructor(channel: FakeChannel) {
    this.channel = channel
  }

  get unconfirmed(): number {
    return this.channel.published.length - this.#confirmed
  }

  /** Takes at most so many, into `stored`. */
  take(count: number, stored: number[]): void {
    if (!this.channel.isOpen) return
    const bodies = this.channel.bodies
    for (const body of bodies.slice(this.#next, this.#next + count)) {
      if (isBad(Number(body))) {
        this.channel.refuse(404)
        return
      }
      stored.push(Number(body))
      this.#next++
    }
  }

  confirm(): void {
    if (this.#next === this.#confirmed || !this.channel.isOpen) return
    this.#confirmed = this.#next
    this.channel.events.confirmed(this.#next, true, false)
  }
}

describe('publishing, whatever happens', () => {
  for (const seed of [1, 2, 3, 4, 5, 6, 7, 8]) {
    it(`settles every send, keeps the order, and blames only who is to blame (seed ${seed})`, async () => {
      const random = new SeededRandom(seed)
      const { client, driver, clock } = await fakeClient({
        unconfirmedMax,
        confirmTimeoutMs: 1e9,
        reconnect: { maxMs: 1_000 },
      })
      const queue = client.queue<number>('q', { declare: false })
      const fates = new Map<number, string>()
      const stored: number[] = []
      let storing: Storing | null = null
      let sent = 0
      const send = (): void => {
        const number = sent++
        const settled = (fate: string): void => {
          assert.equal(fates.has(number), false)
          fates.set(number, fate)
        }
        queue.send(number).then(
          () => settled('ok'),
          (error: unknown) => settled(error instanceof WarrenError ? error.code : 'unknown'),
        )
      }
      const step = (what: number): void => {
        if (what < 30) send()
        else if (what < 60) storing?.take(1 + random.below(4), stored)
        else if (what < 85) storing?.confirm()
        else if (what < 88) driver.last('publishing').lose()
        else if (what < 91) driver.last('publishing').events.blocked('memory')
        else if (what < 97) driver.last('publishing').events.unblocked()
        else clock.advance(1_000)
      }
      send()
      for (let round = 0; fates.size < 300; round++) {
        assert.ok(round < 20_000, `only ${fates.size} of ${sent} have settled`)
        await turns(1)
        const channel = driver.last('publishing').channels.at(-1)
        if (channel !== undefined && channel !== storing?.channel) storing = new Storing(channel)
        assert.ok((storing?.unconfirmed ?? 0) <= unconfirmedMax)
        step(sent < 300 ? random.below(100) : 30 + random.below(70))
      }
      for (const [number, fate] of fates) assert.equal(fate, isBad(number) ? 'CHANNEL_CLOSED' : 'ok', `${number}`)
      const firsts = [...new Set(stored)]
      assert.deepEqual(
        firsts,
        Array.from({ length: 300 }, (_, number) => number).filter((number) => !isBad(number)),
      )
      assert.equal(client.pendingSends, 0)
    })
  }
})
