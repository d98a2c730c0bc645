/** Does commands to a shard and to its model, and holds the one against the other. */
import assert from 'node:assert/strict'
import type { Outcome } from '../../src/broker/ports.ts'
import type { QueueSettings } from '../../src/broker/queue/queue-settings.ts'
import type { ModelMessage, Publication } from './model-message.ts'
import { QueueModel, type QueuePlan } from './queue-model.ts'
import { QueueWorld, type WorldConsumer, type WorldEvent } from './queue-world.ts'

/** A step of a run. Numbers that name something are taken modulo how many there are. */
export type Command =
  | ({ type: 'publish' } & Publish)
  | { type: 'burst'; publishes: readonly Publish[] }
  | { type: 'consume'; queue: number; limit: number; isNoAck: boolean; priority: number }
  | { type: 'cancel'; consumer: number; outcome: Outcome | null }
  | { type: 'settle'; delivery: number; outcome: Outcome }
  | { type: 'settle through'; delivery: number; outcome: Outcome }
  | { type: 'extend lease'; delivery: number; ms: number }
  | { type: 'get'; queue: number; isNoAck: boolean }
  | { type: 'purge'; queue: number }
  | { type: 'advance'; ms: number }
  | { type: 'settings'; settings: Partial<QueueSettings> }
  | { type: 'fill segment' }
  | { type: 'restart'; isClean: boolean }

export type Publish = { to: number; cc: boolean } & Omit<Publication, 'id' | 'exchange' | 'key' | 'cc'>

/** A delivery that is not settled. */
interface Held {
  readonly queue: string
  readonly sequence: number
  readonly message: ModelMessage
  readonly holder: WorldConsumer | null
}

/** The exchanges of every run. `dlx` leads to `dead`, `both` to two queues, `nowhere` to none; `gone` does not exist. */
export function exchanges(queues: ReadonlySet<string>) {
  return (exchange: string, keys: readonly string[]): readonly string[] | null => {
    if (exchange === '') return [...new Set(keys.filter((key) => queues.has(key)))]
    if (exchange === 'dlx') return ['dead']
    if (exchange === 'both') return ['dead', 'wait']
    return exchange === 'nowhere' ? [] : null
  }
}

/** Queues through which a message goes that is too old for each of them, at most. */
const hopsMax = 8

export class QueueRun {
  readonly model: QueueModel
  readonly world: QueueWorld
  readonly #names: readonly string[]
  readonly #consumers: WorldConsumer[] = []
  #held: Held[] = []
  #messages = 0

  readonly #states = (name: string): Map<number, ModelMessage['state']> => this.world.states(name)

  constructor(plans: readonly QueuePlan[]) {
    this.#names = plans.map((plan) => plan.name)
    this.world = new QueueWorld(plans, exchanges(new Set(this.#names)))
    this.model = new QueueModel(plans, this.world.clock.now())
  }

  async run(commands: readonly Command[]): Promise<void> {
    await this.world.start()
    for (const command of commands) {
      await this.#do(command)
      await this.#comeToRest()
    }
    await this.#drain()
  }

  async #do(command: Command): Promise<void> {
    switch (command.type) {
      case 'publish':
        return this.#publish([command])
      case 'burst':
        return this.#publish(command.publishes)
      case 'consume':
        return this.#consume(command)
      case 'cancel':
        return this.#cancel(command)
      case 'settle':
      case 'settle through':
        return this.#settle(command)
      case 'extend lease':
        return this.#extendLease(command)
      case 'fill segment':
        return this.world.fillSegment()
      case 'get':
        return this.world.get(this.#nameOf(command.queue), command.isNoAck)
      case 'purge':
        return this.#purge(this.#nameOf(command.queue))
      case 'advance':
        return this.#advance(command.ms)
      case 'settings':
        return this.#changeSettings(command.settings)
      default:
        return this.#restart(command.isClean)
    }
  }

  #nameOf(index: number): string {
    return this.#names[index % this.#names.length] ?? 'work'
  }

  // ---------------------------------------------------------------- commands

  /** Several in one turn: nothing comes to rest between them. */
  async #publish(publishes: readonly Publish[]): Promise<void> {
    const checks = publishes.map((one) => this.#publishOne(one))
    await this.#comeToRest()
    this.model.publishingTo = ''
    for (const check of checks) check()
  }

  /** Returns what looks at the answer, once there must be one. */
  #publishOne(command: Publish): () => void {
    const name = this.#nameOf(command.to)
    const id = `m${++this.#messages}`
    const publication: Publication = {
      ...command,
      ...{ id, exchange: 'in', key: name, cc: command.cc ? ['dead'] : [] },
      bytes: Math.max(id.length, command.bytes),
    }
    const sequence = this.world.nextSequence(name)
    this.model.publishingTo = name
    const confirms = this.world.publish(publication, name)
    const isStored = this.world.nextSequence(name) > sequence
    const isTaken = this.model.publish(publication, name, sequence, isStored)
    this.#tell()
    this.model.findDropped(name, this.#states, new Set())
    return () => {
      const { confirmed, refused } = confirms
      assert.equal(confirmed.length + refused.length, 1, `answers to the publish of ${id}`)
      if (isTaken !== null) assert.equal(confirmed.length === 1, isTaken, `publish of ${id} is confirmed`)
    }
  }

  #consume(command: Command & { type: 'consume' }): void {
    const name = this.#nameOf(command.queue)
    const consumer = this.world.consume(name, command)
    this.model.consume(name, consumer.model)
    this.#consumers.push(consumer)
    this.world.activate(consumer)
  }

  #cancel({ consumer: index, outcome }: Command & { type: 'cancel' }): void {
    const [consumer] = this.#consumers.splice(index % Math.max(1, this.#consumers.length), 1)
    if (consumer === undefined) return
    this.model.cancel(consumer.queue, consumer.model)
    this.world.cancel(consumer)
    this.#tell()
    if (outcome === null) return
    for (const held of this.#held.filter((one) => one.holder === consumer)) this.#settleOne(held, outcome)
  }

  #settle({ type, delivery, outcome }: Command & { type: 'settle' | 'settle through' }): void {
    const held = this.#held[delivery % Math.max(1, this.#held.length)]
    if (held === undefined) return
    if (type === 'settle') return this.#settleOne(held, outcome)
    const mine = this.#held.filter((one) => one.queue === held.queue && one.holder === held.holder)
    const run = mine.filter((one) => one.sequence <= held.sequence).sort((a, b) => a.sequence - b.sequence)
    this.#held = this.#held.filter((one) => !run.includes(one))
    for (const one of run) this.model.settle(one.queue, one.message, outcome)
    const first = run[0]?.sequence ?? held.sequence
    this.world.settle(held.queue, held.holder, { first, last: held.sequence }, outcome)
  }

  #settleOne(held: Held, outcome: Outcome): void {
    this.#held = this.#held.filter((one) => one !== held)
    this.model.settle(held.queue, held.message, outcome)
    this.world.settle(held.queue, held.holder, { first: held.sequence, last: held.sequence }, outcome)
    this.#tell()
    this.model.findDropped(held.queue, this.#states, new Set())
  }

  #extendLease({ delivery, ms }: Command & { type: 'extend lease' }): void {
    const held = this.#held[delivery % Math.max(1, this.#held.length)]
    if (held === undefined) return
    this.model.extendLease(held.queue, held.message, ms)
    this.world.extendLease(held.queue, held.holder, held.sequence, ms)
  }

  async #purge(name: string): Promise<void> {
    const expected = this.model.purge(name)
    assert.equal(await this.world.purge(name), expected, `purged from '${name}'`)
  }

  #changeSettings(settings: Partial<QueueSettings>): void {
    this.model.changeSettings('work', settings)
    this.world.changeSettings('work', settings)
    this.#tell()
  }

  /** From one time at which something happens to the next. */
  async #advance(ms: number): Promise<void> {
    const end = this.model.now + ms
    while (this.model.nextTime <= end) {
      this.#moveTo(this.model.nextTime)
      await this.#comeToRest()
    }
    this.#moveTo(end)
  }

  #moveTo(time: number): void {
    this.world.clock.advance(Math.max(0, time - this.model.now))
    this.model.advanceTo(Math.max(this.model.now, time))
    this.#held = this.#held.filter((held) => held.message.state === 'unacked')
  }

  async #restart(isClean: boolean): Promise<void> {
    this.#consumers.length = 0
    this.#held = []
    await this.world.restart(isClean)
    this.#tell()
    this.model.restart(isClean)
  }

  // ---------------------------------------------------------------- the one against the other

  async #comeToRest(): Promise<void> {
    await this.world.rest()
    this.#tell()
    // What is too old already when it comes goes a millisecond later, from queue to queue.
    for (let round = 0; round < hopsMax && this.model.nextTime <= this.model.now; round++) {
      this.#moveTo(this.model.now + 1)
      await this.world.rest()
      this.#tell()
    }
    assert.deepEqual(this.world.failures, [])
    this.model.finish(this.#states)
    for (const name of this.#names) this.#compareCounts(name)
  }

  #compareCounts(name: string): void {
    const queue = this.model.queue(name)
    const expected = {
      ready: queue.count('ready'),
      // What dies is held by the broker until its dead letter is stored.
      unacked: queue.count('unacked') + queue.count('dying'),
      waiting: queue.count('waiting'),
      readyBytes: queue.readyBytes,
    }
    assert.deepEqual(this.world.counts(name), expected, `counts of '${name}'`)
  }

  #tell(): void {
    const events = this.world.takeEvents()
    const delivered = new Set(events.flatMap((one) => ('seen' in one ? [one.seen.id] : [])))
    for (const event of events) {
      if ('seen' in event) this.model.findDropped(event.queue, this.#states, delivered)

      if (event.type === 'died') this.model.died({ ...event, delivered }, this.#states)
      else if (event.type === 'empty') this.#gotNothing(event.queue)
      else if (event.type === 'refused')
        assert.ok(this.model.queue(event.queue).settings.isSingleActive, 'refused a get')
      else this.#delivered(event)
    }
  }

  #gotNothing(name: string): void {
    const queue = this.model.queue(name)
    const ready = queue.firsts(this.model.now).filter((one) => !queue.isExpired(one, this.model.now))
    assert.deepEqual(
      ready.map((one) => one.id),
      [],
      `a get from '${name}' was answered with nothing`,
    )
  }

  #delivered(event: WorldEvent & { type: 'delivered' | 'got' }): void {
    const { queue, sequence, seen } = event
    const holder = event.type === 'delivered' ? event.consumer : null
    const isNoAck = event.type === 'delivered' ? event.consumer.model.isNoAck : event.isNoAck
    const message = this.model.delivered(queue, seen, { consumer: holder?.model ?? null, isNoAck }, this.#states)
    if (!isNoAck) this.#held.push({ queue, sequence, message, holder })
  }

  /** In the end everything that is ready is taken out, in order. */
  async #drain(): Promise<void> {
    while (this.#consumers.length > 0) {
      this.#cancel({ type: 'cancel', consumer: 0, outcome: null })
      await this.#comeToRest()
    }
    for (let queue = 0; queue < this.#names.length; queue++) {
      this.#consume({ type: 'consume', queue, limit: 0, isNoAck: true, priority: 0 })
      await this.#comeToRest()
    }
  }
}
