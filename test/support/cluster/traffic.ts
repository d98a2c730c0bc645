/**
 * Clients of a cluster while something is done to it: publishers that wait for each confirm, and consumers that settle
 * what they get; each on a node of its own, and on the next one when that is gone. Says how long the longest pause was, and
 * whether anything confirmed was lost or anything came twice unmarked.
 */
import { setTimeout as pause } from 'node:timers/promises'
import { type Address, type Arrival, RawClient } from '../amqp/raw-client.ts'

/** How long one answer is waited for; longer than any pause that a cluster may make. */
const answerMsMax = 60_000
const reconnectMs = 50
const prefetch = 20

export interface TrafficOptions {
  /** Nodes, in the order in which they are tried. */
  readonly publishAt: readonly Address[]
  readonly consumeAt: readonly Address[]
  readonly queue: string
  /**
   * Each delivery is kept for so long before it is acknowledged. Default 0. The publisher then rests twice as long between
   * two publishes: without that a calm machine publishes more than the consumer can take, and the rest would look lost.
   */
  readonly holdMs?: number
}

/** One publisher and one consumer of one queue. */
export class Traffic {
  readonly options: TrafficOptions
  /** When confirms and deliveries came. */
  readonly confirmTimes: number[] = []
  readonly deliveryTimes: number[] = []
  readonly confirmed = new Set<string>()
  /** How often each publish came. */
  readonly delivered = new Map<string, number>()
  /** Came again and did not say so. */
  readonly falseFresh: string[] = []
  /** Connections that were begun after the first. */
  reconnects = 0
  #isPublishing = true
  #isConsuming = true
  #publishing: Promise<void> = Promise.resolve()
  #consuming: Promise<void> = Promise.resolve()

  constructor(options: TrafficOptions) {
    this.options = options
  }

  /** Declares the queue and begins; resolves when the first message has come through. */
  async start(): Promise<void> {
    const { queue, publishAt } = this.options
    const client = await RawClient.withChannel(publishAt[0] as Address)
    await client.call(1, 'queue.declare', { queue, durable: true })
    await client.close()
    this.#publishing = this.#repeat(publishAt, () => this.#isPublishing, publisher(this))
    this.#consuming = this.#repeat(
      this.options.consumeAt,
      () => this.#isConsuming,
      (client) => this.#consume(client),
    )
    await this.untilGoingOn()
  }

  /** Waits until something has been published and delivered since now. */
  async untilGoingOn(msMax = answerMsMax): Promise<void> {
    const [confirms, deliveries] = [this.confirmTimes.length, this.deliveryTimes.length]
    const end = performance.now() + msMax
    while (this.confirmTimes.length <= confirms || this.deliveryTimes.length <= deliveries) {
      if (performance.now() > end) throw new Error(`nothing gets through '${this.options.queue}' within ${msMax} ms`)
      await pause(10)
    }
  }

  /** Publishes no more, and waits until everything that was confirmed has come. */
  async end(msMax = answerMsMax): Promise<void> {
    this.#isPublishing = false
    await this.#publishing
    const end = performance.now() + msMax
    while (this.lost.length > 0 && performance.now() < end) await pause(20)
    this.#isConsuming = false
    await this.#consuming
  }

  get isPublishing(): boolean {
    return this.#isPublishing
  }

  /** Confirmed, and not come yet. */
  get lost(): string[] {
    return [...this.confirmed].filter((name) => !this.delivered.has(name))
  }

  /** Came more than once. */
  get repeated(): string[] {
    return [...this.delivered].filter(([, times]) => times > 1).map(([name]) => name)
  }

  /** Longest times without a confirm and without a delivery from `since` on, in milliseconds. */
  pausesSince(since: number): { confirms: number; deliveries: number } {
    return { confirms: longestPause(this.confirmTimes, since), deliveries: longestPause(this.deliveryTimes, since) }
  }

  async #consume(client: RawClient): Promise<void> {
    const { queue, holdMs = 0 } = this.options
    await client.call(1, 'basic.qos', { prefetchCount: prefetch })
    await client.call(1, 'basic.consume', { queue, consumerTag: 'c' })
    while (this.#isConsuming) {
      const one = await nextOf(client, 'basic.deliver', () => this.#isConsuming)
      if (one === null) break
      this.#note(one)
      if (holdMs > 0) await pause(holdMs)
      client.send(1, 'basic.ack', { deliveryTag: one.args['deliveryTag'] ?? 0 })
    }
  }

  #note(one: Arrival): void {
    const name = one.body.toString()
    const times = (this.delivered.get(name) ?? 0) + 1
    this.delivered.set(name, times)
    this.deliveryTimes.push(performance.now())
    if (times > 1 && one.args['redelivered'] !== true) this.falseFresh.push(name)
  }

  async #repeat(
    addresses: readonly Address[],
    goesOn: () => boolean,
    use: (client: RawClient) => Promise<void>,
  ): Promise<void> {
    for (let turn = 0; goesOn(); turn++) {
      if (turn > 0) this.reconnects++
      let client: RawClient | null = null
      try {
        client = await RawClient.withChannel(addresses[turn % addresses.length] as Address)
        await use(client)
        await client.close()
      } catch {
        await pause(reconnectMs)
      } finally {
        client?.destroy()
      }
    }
  }
}

/** One publish at a time; what had no answer is published again under another name. */
function publisher(traffic: Traffic): (client: RawClient) => Promise<void> {
  let number = 0
  const restMs = 2 * (traffic.options.holdMs ?? 0)
  return async (client) => {
    await client.call(1, 'confirm.select')
    while (traffic.isPublishing) {
      const name = `${traffic.options.queue} ${++number}`
      client.publish(1, { routingKey: traffic.options.queue, body: name, properties: { deliveryMode: 2 } })
      const answer = await nextOf(client, null, () => true)
      if (answer?.name !== 'basic.ack') continue
      traffic.confirmed.add(name)
      traffic.confirmTimes.push(performance.now())
      if (restMs > 0) await pause(restMs)
    }
  }
}

/** The next of this name, or of any; null when it is not wanted any more. */
async function nextOf(client: RawClient, name: string | null, isWanted: () => boolean): Promise<Arrival | null> {
  const end = performance.now() + answerMsMax
  for (;;) {
    const one = await client.next(1, 250).catch((error: unknown) => {
      if (performance.now() > end || !String(error).includes('nothing came')) throw error
      return null
    })
    if (one === null) {
      // A node that stops waits for this answer.
      if (client.waiting(0).includes('connection.close')) await client.expectConnectionClose(320, /CONNECTION_FORCED/)
      if (!isWanted()) return null
      continue
    }
    if (one.name === 'end' || one.name === 'channel.close') throw new Error(`the connection ended: ${one.name}`)
    if (name === null || one.name === name) return one
  }
}

function longestPause(times: readonly number[], since: number): number {
  let last = since
  let longest = 0
  for (const time of times) {
    if (time < since) continue
    longest = Math.max(longest, time - last)
    last = time
  }
  return Math.max(longest, performance.now() - last)
}

/** Traffic on some queues for each two of these nodes, with its publisher on one and its consumer on another. */
export function trafficBetween(addresses: readonly Address[], prefix: string, holdMs = 0): Traffic[] {
  return addresses.flatMap((_, from) =>
    [1, 2, 1, 2].map((step, index) => {
      const turned = (by: number): Address[] => [...addresses.slice(by), ...addresses.slice(0, by)]
      const to = (from + step) % addresses.length
      return new Traffic({
        publishAt: turned(from),
        consumeAt: turned(to),
        queue: `${prefix}-${from}-${to}-${index}`,
        holdMs,
      })
    }),
  )
}
