/**
 * Publishes numbered messages with confirms for as long as it is told to, over as many connections as the broker's
 * deaths make necessary, and notes everything in a history before it acts on it. What each line means: `checker.ts`.
 */
import { createHash, randomBytes } from 'node:crypto'
import type { Address, Arrival, RawClient } from '../support/amqp/raw-client.ts'
import type { Dice } from './dice.ts'
import type { History } from './history.ts'
import { isFarewell, nextOrEnd, reconnect } from './reconnect.ts'
import { routes } from './stage.ts'
import type { Task } from './worker.ts'

/** At most this many publishes wait for their confirm. */
const inFlightMax = 200
/** Published together, after one sync of the history. */
const batchMax = 32

interface Publish {
  readonly seq: number
  readonly attempt: number
}

export class Publisher {
  readonly #name: string
  readonly #history: History
  readonly #dice: Dice
  readonly #noise = randomBytes(300_000)
  /** By confirm number; the numbers of a connection start at 1. */
  #outstanding = new Map<number, Publish>()
  #retries: Publish[] = []
  #nextConfirm = 1
  #nextSeq = 1
  #isStopping = false
  readonly #isLying: boolean
  readonly #isTolerant: boolean

  /** A lying publisher notes as persistent what it sends as transient: the control that must be found to lose. */
  constructor(
    name: string,
    history: History,
    dice: Dice,
    { isLying, isTolerant }: Pick<Task, 'isLying' | 'isTolerant'>,
  ) {
    this.#name = name
    this.#history = history
    this.#dice = dice
    this.#isLying = isLying
    this.#isTolerant = isTolerant
  }

  /** No new messages; `run` ends when all are answered. */
  stop(): void {
    this.#isStopping = true
  }

  async run(addresses: readonly Address[]): Promise<void> {
    while (!this.#isStopping || this.#outstanding.size > 0) {
      const client = await reconnect(this.#dice.pick(addresses))
      if (client === null) continue
      await client.call(1, 'confirm.select').catch(() => undefined)
      this.#nextConfirm = 1
      // Nodes of a cluster promise order to each channel, not to one after the other: the first may be held up.
      if (this.#isTolerant) this.#history.write('connected', { publisher: this.#name })
      await this.#publishOver(client)
      client.destroy()
      this.#loseOutstanding()
    }
    this.#history.sync()
  }

  /** Until the connection ends, or all is done. */
  async #publishOver(client: RawClient): Promise<void> {
    while (!this.#isStopping || this.#outstanding.size > 0) {
      if (!this.#isStopping && this.#outstanding.size < inFlightMax) this.#sendBatch(client)
      const first = await nextOrEnd(client, this.#isTolerant)
      const arrived = [first, ...client.takeWaiting(1)]
      for (const one of arrived) {
        if (one.name === 'end' || (this.#isTolerant && isFarewell(one))) return
        this.#answered(one)
      }
    }
  }

  #sendBatch(client: RawClient): void {
    const bytes: Buffer[] = []
    for (let count = this.#dice.between(1, batchMax); count > 0; count -= 1) {
      const publish = this.#retries.shift() ?? { seq: this.#nextSeq++, attempt: 1 }
      bytes.push(this.#prepare(client, publish))
      this.#outstanding.set(this.#nextConfirm, publish)
      this.#nextConfirm += 1
    }
    this.#history.sync()
    client.sendBytes(...bytes)
  }

  #prepare(client: RawClient, { seq, attempt }: Publish): Buffer {
    const { queues, exchange, routingKey } = this.#dice.pick(routes)
    const persistent = this.#dice.chance(0.8)
    const messageId = `${this.#name}/${seq}/${attempt}`
    const body = Buffer.concat([Buffer.from(`${messageId}\n`), this.#noise.subarray(0, this.#size())])
    const sha256 = createHash('sha256').update(body).digest('base64')
    this.#history.write('publish', { publisher: this.#name, seq, attempt, sha256, queues, persistent })
    const properties = { messageId, deliveryMode: persistent && !this.#isLying ? 2 : 1 }
    return client.publishBytes(1, { exchange, routingKey, body, properties })
  }

  /** Mostly small; now and then more than a frame, and more than the log takes in one piece. */
  #size(): number {
    if (this.#dice.chance(0.01)) return this.#dice.between(60_000, 300_000)
    return this.#dice.chance(0.05) ? this.#dice.between(2_000, 20_000) : this.#dice.between(0, 1_000)
  }

  #answered(one: Arrival): void {
    if (one.name !== 'basic.ack' && one.name !== 'basic.nack') {
      throw new Error(`${this.#name} got ${one.name} ${JSON.stringify(one.args)}`)
    }
    const tag = Number(one.args['deliveryTag'])
    const event = one.name === 'basic.ack' ? 'confirmed' : 'refused'
    const isMultiple = one.args['multiple'] === true
    const numbers = isMultiple ? [...this.#outstanding.keys()].filter((number) => number <= tag) : [tag]
    for (const number of numbers) this.#note(event, number)
  }

  #note(event: string, number: number): void {
    const publish = this.#outstanding.get(number)
    if (publish === undefined) throw new Error(`${this.#name}: ${event} ${number}, which is not outstanding`)
    this.#outstanding.delete(number)
    this.#history.write(event, { publisher: this.#name, ...publish })
  }

  /** Their fate is unknown. Half of them are tried again, as another attempt. */
  #loseOutstanding(): void {
    for (const { seq, attempt } of this.#outstanding.values()) {
      this.#history.write('unknown', { publisher: this.#name, seq, attempt })
      if (this.#dice.chance(0.5)) this.#retries.push({ seq, attempt: attempt + 1 })
    }
    this.#outstanding = new Map()
  }
}
