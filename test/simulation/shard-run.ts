/**
 * One seeded life of a shard: clients publish, take, settle, purge and delete at random while the disk is slow, full or
 * failing and the process stops and crashes; every delivery is judged by the model as it comes.
 */
import assert from 'node:assert/strict'
import { crc32 } from 'node:zlib'
import { SeededRandom } from '../../src/base/random.ts'
import type { Message } from '../../src/broker/message.ts'
import type { BodyWriter, ConfirmSink, GetSink, Outcome, Queue } from '../../src/broker/ports.ts'
import type { LocalQueue } from '../../src/broker/queue/local-queue.ts'
import type { QueueDefinition } from '../../src/broker/topology/queue-definition.ts'
import { numberOf, type SentMessage } from '../support/sent-message.ts'
import type { DiskImage } from '../support/simulated-files.ts'
import { BodyReader } from './body-reader.ts'
import { BrokerProcess } from './broker-process.ts'
import { SimulatedChannel, SimulatedConsumer, type Watcher } from './clients.ts'
import { DiskTrouble } from './disk-trouble.ts'
import { type LifeKind, largeMessage, lifeKindOf, messageOf } from './life-kind.ts'
import { Entry, ModelQueue, Publish } from './model.ts'
import { SettlementMarks } from './settlement-marks.ts'
import { SimulatedTopology } from './simulated-topology.ts'
import { Uploads } from './uploads.ts'

const channelsMax = 4
const queuesMax = 6

export class ShardRun implements Watcher, ConfirmSink {
  readonly #random: SeededRandom
  readonly #kind: LifeKind
  readonly #topology: SimulatedTopology
  readonly #trouble: DiskTrouble
  readonly #models = new Map<number, ModelQueue>()
  readonly #publishes = new Map<number, Publish>()
  #process: BrokerProcess
  #isServing = false
  #isStopping = false
  #fatal: Error | null = null
  #channels: SimulatedChannel[] = []
  readonly #uploads: Uploads
  #readers = new Set<BodyReader>()
  #getsWaiting = 0
  #confirmsWaiting = 0
  #messageCount = 0
  #publishCount = 0
  #consumerCount = 0
  readonly #settlements = new SettlementMarks()
  /** The publish being given to the shard just now. */
  #publishing: Publish | null = null
  #trace = 0
  #violation: Error | null = null
  /** Something was refused: by the end of the turn the shard must be known to have failed. */
  #refusal: string | null = null
  /** What happened how often, to see that a run does what it is for. */
  readonly counts: Record<string, number> = {}

  constructor(seed: number) {
    this.#random = new SeededRandom(seed)
    this.#kind = lifeKindOf(this.#random)
    this.#topology = new SimulatedTopology(this.#random)
    this.#trouble = new DiskTrouble(this.#random, (what) => this.#count(what))
    this.#uploads = new Uploads(this.#random, (message, handles, writer) => this.#publish(message, handles, writer))
    this.#process = this.#newProcess(new Map())
  }

  /** Lives the whole life. Returns a number that is the same for each run with this seed. */
  async run(): Promise<number> {
    await this.#begin(false, true)
    for (let index = 0; index < 2 + this.#random.below(3); index++) this.#declare()
    for (let step = 0; step < this.#kind.steps; step++) {
      if (this.#fatal !== null) await this.#crash('fatal')
      else if (this.#random.next() < this.#kind.stopShare) await this.#stopSomehow()
      else await this.#step()
      if (step % 40 === 39) await this.#checkQuiet()
    }
    await this.#heal()
    await this.#drain()
    return this.#trace
  }

  // ---------------------------------------------------------------- steps

  async #step(): Promise<void> {
    const dice = this.#below(100)
    if (dice < 34) this.#publishSome()
    else if (dice < 62) this.#settleSome()
    else if (dice < 68) this.#consume()
    else if (dice < 71) this.#endConsumer()
    else if (dice < 73) this.#closeChannel()
    else if (dice < 79) this.#get()
    else if (dice < 81) this.#purge()
    else if (dice < 82) this.#delete()
    else if (dice < 83) this.#declare()
    else if (dice < 88) this.#toggle()
    else if (dice < 90) this.#trouble.arm(this.#process.files)
    else if (dice < 91) this.#trouble.changeRoom(this.#process.files)
    else if (dice < 93) await this.#turns(this.#below(60))
    else this.#upload()
    this.#uploads.goOn()
    await this.#turns(this.#below(4))
  }

  async #turns(count: number): Promise<void> {
    for (let left = count; left > 0; left--) {
      await this.#process.turns(1)
      if (this.#refusal !== null && this.#isServing && !this.#isStopping)
        this.violate(new Error(`${this.#refusal} by a shard that serves`))
      this.#refusal = null
      if (this.#violation !== null) throw this.#violation
    }
  }

  /** Something is not as it must be: the run ends. Called from anywhere, so it does not throw into the shard. */
  violate(error: unknown): void {
    this.#violation ??= error instanceof Error ? error : new Error(String(error))
  }

  #watch<T>(judge: () => T): T | null {
    try {
      return judge()
    } catch (error) {
      this.violate(error)
      return null
    }
  }

  #publishSome(): void {
    const { isFull, isCongested } = this.#process
    if (isFull || (isCongested && this.#below(20) > 0)) return
    const handles = this.#someHandles()
    const burst = 1 + this.#below(this.#kind.burstMax)
    for (let index = 0; index < burst && handles.length > 0 && !this.#process.isFull; index++) {
      const message = messageOf(this.#kind, this.#random, ++this.#messageCount)
      if (message.form === 'large') this.#uploads.begin(message, handles, true)
      else this.#publish(message, handles, null)
    }
  }

  #publish(message: SentMessage, handles: readonly LocalQueue[], writer: BodyWriter | null): void {
    const publish = new Publish(message, ++this.#publishCount, this.#settlements.appended)
    const hasSink = this.#below(8) > 0
    this.#publishes.set(message.number, publish)
    for (const handle of handles) {
      if (handle.isDropped) continue
      const model = this.#modelOf(handle.definition)
      const entry = new Entry(publish, model, handle.entries.next)
      publish.entries.push(entry)
      model.add(entry)
    }
    const view = message.view()
    view.chunks = writer
    this.#publishing = publish
    if (hasSink) this.#confirmsWaiting++
    handles[0]?.shard.publish(view, handles, handles.length, hasSink ? this : null, message.number)
    this.#publishing = null
    // Nobody is told that a shard does not serve.
    if (!this.#isServing && !hasSink) for (const entry of publish.entries) entry.queue.set(entry, 'gone')
    this.#count('published')
  }

  // ---- large bodies

  #upload(): void {
    const handles = this.#someHandles()
    if (this.#process.isFull || handles.length === 0) return
    const isPersistent = this.#below(3) > 0
    this.#uploads.begin(largeMessage(this.#random, ++this.#messageCount, isPersistent), handles, false)
  }

  // ---- settling and consuming

  #settleSome(): void {
    const channel = this.#channels[this.#below(this.#channels.length)]
    if (channel === undefined || channel.held.length === 0) return
    const dice = this.#below(20)
    const outcome: Outcome = dice < 14 ? 'ack' : dice < 17 ? 'requeue' : 'reject'
    const from = this.#below(2) === 0 ? 0 : this.#below(channel.held.length)
    channel.settle(from, 1 + this.#below(channel.held.length * 2), outcome)
  }

  settling(entry: Entry, outcome: Outcome): void {
    if (entry.queue.isDropped || !this.#isServing) return
    if (outcome === 'requeue') entry.queue.set(entry, 'ready')
    else this.#done(entry)
    this.#count(outcome)
  }

  #done(entry: Entry): void {
    entry.queue.set(entry, 'done')
    this.#settlements.give(entry, this.#process.clock)
  }

  #channel(): SimulatedChannel {
    if (this.#channels.length < channelsMax && this.#below(3) === 0) {
      this.#channels.push(new SimulatedChannel(this, this.#below(3) === 0 ? 1 + this.#below(40) : 0))
    }
    const channel = this.#channels[this.#below(this.#channels.length)] ?? new SimulatedChannel(this, 0)
    if (this.#channels.length === 0) this.#channels.push(channel)
    return channel
  }

  #consume(): void {
    const [handle] = this.#someHandles()
    const channel = this.#channel()
    if (handle === undefined || channel.consumers.size > 4) return
    const limit = this.#below(4) === 0 ? 0 : 1 + this.#below(this.#below(3) === 0 ? 2_000 : 20)
    const kind = { isNoAck: this.#below(8) === 0, limit, priority: this.#below(3) }
    const consumer = new SimulatedConsumer(++this.#consumerCount, channel, handle, kind)
    handle.shard.register(consumer, {
      done: () => {
        channel.consumers.add(consumer)
        handle.shard.activate(consumer)
      },
      failed: () => {},
    })
  }

  #endConsumer(): void {
    const channel = this.#channels[this.#below(this.#channels.length)]
    const consumers = [...(channel?.consumers ?? [])]
    const consumer = consumers[this.#below(consumers.length)]
    if (consumer !== undefined) channel?.cancel(consumer)
  }

  #closeChannel(): void {
    const channel = this.#channels[this.#below(this.#channels.length)]
    channel?.close()
    this.#channels = this.#channels.filter((other) => other !== channel)
  }

  #toggle(): void {
    const consumers = this.#channels.flatMap((channel) => [...channel.consumers])
    const consumer = consumers[this.#below(consumers.length)]
    if (consumer === undefined) return
    consumer.isReady = !consumer.isReady
    if (consumer.isReady) consumer.queue.shard.resume(consumer)
  }

  delivered(sink: SimulatedConsumer, message: Message, sequence: number, isRedelivered: boolean): Entry | null {
    return this.#watch(() => {
      const entry = this.#judge(sink.queue, message, sequence, isRedelivered, sink.isNoAck)
      this.#takeBody(message)
      return entry
    })
  }

  #judge(queue: Queue, message: Message, sequence: number, isRedelivered: boolean, isNoAck: boolean): Entry {
    assert.ok(this.#isServing, 'a message was delivered by a shard that does not serve')
    const number = numberOf(message)
    const publish = this.#publishes.get(number)
    assert.ok(publish !== undefined, `message ${number} was delivered and never published`)
    publish.message.check(message)
    const model = this.#modelOf(queue.definition)
    assert.ok(!model.isDropped, `queue ${queue.definition.name} was deleted and delivers`)
    const entry = model.deliver(number, sequence, isRedelivered)
    if (isNoAck) this.#done(entry)
    this.#note(`deliver ${number} ${queue.definition.id} ${isRedelivered}`)
    this.#count('delivered')
    return entry
  }

  #takeBody(message: Message): void {
    const { chunks } = message
    if (chunks === null) return
    this.#count('large')
    const process = this.#process
    const reader = new BodyReader(numberOf(message), chunks, {
      later: (callback) => process.clock.after(this.#below(4) * 40, callback),
      ended: () => this.#readers.delete(reader),
      mayFail: () => process !== this.#process || !this.#isServing || this.#isStopping || process.files.faultsDone > 0,
      mayEndEarly: () => this.#below(30) === 0,
      failed: (error) => this.violate(error),
    })
    this.#readers.add(reader)
    reader.start()
  }

  #get(): void {
    const [handle] = this.#someHandles()
    if (handle === undefined) return
    const channel = this.#channel()
    const isNoAck = this.#below(2) === 0
    const process = this.#process
    this.#getsWaiting++
    let isAnswered = false
    const answer = (): boolean => {
      assert.ok(!isAnswered, 'a get has one answer')
      isAnswered = true
      this.#getsWaiting -= process === this.#process ? 1 : 0
      return process === this.#process
    }
    const sink: GetSink = {
      message: (queue, message, sequence, isRedelivered, readyLeft) => {
        this.#watch(() => {
          if (!answer()) return
          const entry = this.#judge(queue, message, sequence, isRedelivered, isNoAck)
          this.#takeBody(message)
          if (!isNoAck) channel.hold({ entry, queue, consumer: null, sequence })
          // As the server does: given back later, because the queue is in the middle of handing this message out.
          if (channel.isClosed) process.clock.soon(() => channel.close())
          if (!entry.queue.isPurging) assert.equal(readyLeft, entry.queue.ready, `left behind ${entry}`)
          this.#count('get')
        })
      },
      empty: () => {
        this.#watch(() => {
          if (answer()) this.#modelOf(handle.definition).assertEmptyForGet()
        })
      },
      failed: () => {
        this.#watch(() => {
          if (answer() && !handle.isDropped && this.#isServing) this.#refusal = 'a get was refused'
        })
      },
    }
    handle.shard.get(handle, isNoAck, sink)
  }

  // ---- queues

  #purge(): void {
    const [handle] = this.#someHandles()
    if (handle === undefined) return
    const model = this.#modelOf(handle.definition)
    if (model.isPurging || this.#below(3) > 0) return
    model.beginPurge()
    const process = this.#process
    handle.shard.purge(handle, {
      done: (count) => {
        this.#watch(() => {
          if (process !== this.#process || model.isDropped || !this.#isServing) return
          for (const entry of model.endPurge(count, handle.entries)) {
            this.#settlements.give(entry, this.#process.clock)
          }
          this.#count('purge')
        })
      },
      failed: () => {
        this.#watch(() => {
          if (process === this.#process && !model.isDropped && this.#isServing) this.#refusal = 'a purge was refused'
        })
      },
    })
  }

  #declare(): void {
    if (this.#topology.queues.size >= queuesMax) return
    const definition = this.#topology.declare(this.#below(5) > 0)
    this.#models.set(definition.id, new ModelQueue(definition))
  }

  #delete(): void {
    const definitions = [...this.#topology.queues.values()]
    const definition = definitions[this.#below(definitions.length)]
    if (definition === undefined || this.#below(2) > 0) return
    this.#modelOf(definition).isDropped = true
    this.#topology.delete(definition)
    this.#count('delete')
  }

  // ---------------------------------------------------------------- confirms

  confirm(number: number): void {
    this.#watch(() => this.#confirmed(number))
  }

  refuse(number: number): void {
    this.#watch(() => this.#refused(number))
  }

  #confirmed(number: number): void {
    const publish = this.#answered(number)
    publish.answer = 'confirmed'
    const { queues, committed } = this.#topology
    for (const { queue, isDurable } of publish.entries) {
      const isUnknown = isDurable && !this.#topology.isStored(queue.definition.id)
      assert.ok(
        !isUnknown || !queues.has(queue.definition.id),
        `confirmed before queue ${queue.definition.name} was stored (${committed})`,
      )
    }
    if (publish.message.isPersistent && publish.entries.some((entry) => entry.isDurable)) {
      this.#settlements.storedUpTo(publish.settledBefore)
    }
    this.#note(`confirm ${number}`)
  }

  #refused(number: number): void {
    const publish = this.#answered(number)
    publish.answer = 'refused'
    if (this.#isServing) this.#refusal = `message ${number} was refused`
    if (publish === this.#publishing) for (const entry of publish.entries) entry.queue.set(entry, 'gone')
    this.#note(`refuse ${number}`)
    this.#count('refused')
  }

  #answered(number: number): Publish {
    const publish = this.#publishes.get(number)
    assert.ok(publish !== undefined, 'only what was published is confirmed')
    assert.equal(publish.answer, 'none', `message ${number} was answered twice`)
    this.#confirmsWaiting--
    return publish
  }

  // ---------------------------------------------------------------- stops

  #newProcess(image: DiskImage): BrokerProcess {
    const process: BrokerProcess = new BrokerProcess(image, this.#random, this.#kind, {
      reopened: () => {
        this.#watch(() => this.#reopened(process))
      },
      violated: (error) => this.violate(error),
      fatal: (error) => {
        this.#isServing = false
        this.#fatal = error
      },
    })
    return process
  }

  /** The shard has failed, or serves again. */
  #reopened(process: BrokerProcess): void {
    if (process !== this.#process) return
    if (this.#isServing) {
      this.#isServing = false
      this.#note('failed')
      this.#count('failed')
      assert.ok(process.files.faultsDone > 0, `the shard failed by itself: ${process.errors.join('; ')}`)
      this.#forgetClients()
    } else {
      this.#uploads.forget()
      this.#reconcile(false)
      this.#isServing = true
    }
  }

  #forgetClients(): void {
    this.#channels = []
    this.#uploads.forget()
    this.#readers.clear()
  }

  async #stopSomehow(): Promise<void> {
    if (!this.#isServing) return this.#turns(20)
    if (this.#below(3) === 0) await this.#stopCleanly()
    else await this.#crash('crash')
  }

  async #crash(what: string): Promise<void> {
    this.#note(what)
    this.#count(what)
    const image = this.#trouble.damaged(this.#process.files.crashImage(this.#random))
    this.#process.end()
    this.#revive(this.#topology.crash())
    await this.#restart(image, false)
  }

  async #stopCleanly(): Promise<void> {
    this.#note('stop')
    const process = this.#process
    if (this.#below(4) > 0) for (const channel of this.#channels) channel.close()
    this.#isStopping = true
    let isClosed = false
    let failure: Error | null = null
    process.shards.close().then(
      () => {
        isClosed = true
      },
      (error: Error) => {
        failure = error
      },
    )
    for (let turns = 0; !isClosed && failure === null; turns++) {
      assert.ok(turns < 20_000, 'a stop does not end')
      if (process.files.disk.capacityBytes < Number.MAX_SAFE_INTEGER && turns > 2_000)
        process.files.disk.capacityBytes = Number.MAX_SAFE_INTEGER
      await this.#turns(1)
    }
    this.#isStopping = false
    const isClean = isClosed && this.#isServing
    assert.ok(
      isClean || process.files.faultsDone > 0,
      `a stop failed by itself: ${String(failure)} ${process.errors.join('; ')}`,
    )
    const image = this.#trouble.damaged(process.files.crashImage(this.#random))
    process.end()
    this.#revive(isClean ? this.#topology.stop() : this.#topology.crash())
    this.#count(isClean ? 'stop' : 'failed stop')
    await this.#restart(image, isClean)
  }

  /** Queues whose deletion was not stored are there again. */
  #revive(ids: ReadonlySet<number>): void {
    for (const [id, model] of this.#models) model.isDropped = !ids.has(id)
  }

  async #restart(image: DiskImage, wasClean: boolean): Promise<void> {
    this.#forgetClients()
    this.#isServing = false
    this.#fatal = null
    this.#getsWaiting = 0
    this.#confirmsWaiting = 0
    this.#process = this.#newProcess(image)
    await this.#begin(wasClean, false)
  }

  /** Opens the shard; sometimes that crashes too, and is tried again. */
  async #begin(wasClean: boolean, isFirst: boolean): Promise<void> {
    const process = this.#process
    this.#topology.begin(process.clock, process.shards)
    if (!isFirst && this.#below(8) === 0) this.#trouble.arm(this.#process.files)
    const end = isFirst || this.#below(4) > 0 ? Number.POSITIVE_INFINITY : this.#below(120)
    let result: 'open' | Error | null = null
    process.shards.start(this.#topology).then(
      () => {
        result = 'open'
      },
      (error: Error) => {
        result = error
      },
    )
    for (let turns = 0; result === null; turns++) {
      if (turns >= end) return this.#crashOpening()
      assert.ok(turns < 20_000, 'an opening does not end')
      await this.#turns(1)
    }
    const failure = result as 'open' | Error
    if (failure !== 'open') {
      assert.ok(
        process.files.faultsDone > 0,
        `an opening failed by itself: ${failure.stack} ${process.errors.join('; ')}`,
      )
      return this.#crashOpening()
    }
    this.#reconcile(wasClean)
    this.#isServing = true
  }

  async #crashOpening(): Promise<void> {
    this.#count('crash in opening')
    const image = this.#process.files.crashImage(this.#random)
    this.#process.end()
    await this.#restart(image, false)
  }

  /** What the shard knows after an opening is held against what is certain, and decides what is not. */
  #reconcile(isClean: boolean): void {
    for (const [id, model] of this.#models) {
      const handle = this.#topology.queues.get(id)?.queue as LocalQueue | null | undefined
      if (model.isDropped || handle === null || handle === undefined) continue
      model.reconcile(handle.entries, isClean, this.#settlements.stored)
      model.assertSequences()
      this.#checkCounters(model, handle)
    }
    this.#settlements.opened()
    this.#note('open')
  }

  // ---------------------------------------------------------------- judgement at rest

  async #checkQuiet(): Promise<void> {
    await this.#quiet(15_000)
    if (!this.#isServing) return
    const isAtRest =
      this.#process.log?.committed === this.#process.log?.appended &&
      this.#topology.committed === this.#topology.appended
    if (isAtRest) assert.equal(this.#confirmsWaiting, 0, 'confirms that do not come')
    for (const definition of this.#topology.queues.values()) {
      const model = this.#modelOf(definition)
      const handle = definition.queue as LocalQueue
      this.#checkCounters(model, handle)
      const taker = [...handle.consumers].find((consumer) => (consumer as SimulatedConsumer).couldTake)
      const isStuck = isAtRest && taker !== undefined && handle.entries.ready > 0
      const { isLoading, isScheduled, isWaitingForMark } = handle
      const state = JSON.stringify({ isLoading, isScheduled, isWaitingForMark, isInTurn: taker?.isInTurn })
      assert.ok(
        !isStuck,
        `queue ${definition.name} has ${handle.entries.ready} messages and consumer ${taker?.tag} waits: ${state}`,
      )
    }
    if (isAtRest) assert.equal(this.#getsWaiting, 0, 'gets that are not answered')
    for (const channel of this.#channels) {
      const count = channel.held.filter((one) => one.consumer !== null).length
      assert.equal(channel.shared.unacked, count, 'shared credit that is out')
    }
  }

  #checkCounters(model: ModelQueue, handle: LocalQueue): void {
    if (model.isPurging) return
    const { entries } = handle
    const found = { ready: entries.ready, unacked: entries.unacked, bytes: entries.readyBytes }
    assert.deepEqual(
      found,
      { ready: model.ready, unacked: model.held, bytes: model.readyBytes },
      `counters of ${model.definition.name}`,
    )
  }

  /** Waits until nothing moves by itself any more, or for so many turns. */
  async #quiet(turnsMax: number): Promise<void> {
    const handles = (): LocalQueue[] => [...this.#topology.queues.values()].map((one) => one.queue as LocalQueue)
    let before = ''
    for (let turns = 0, calm = 0; turns < turnsMax && calm < 300; turns++) {
      await this.#turns(1)
      const now = `${this.#process.activity(handles())} ${this.#readers.size} ${this.#topology.committed === this.#topology.appended}`
      calm = now === before ? calm + 1 : 0
      before = now
    }
  }

  // ---------------------------------------------------------------- the end

  async #heal(): Promise<void> {
    // What failed before may still have to show.
    for (let calm = 0; calm < 200; calm = this.#isServing ? calm + 1 : 0) {
      this.#process.files.faults.failNext = null
      this.#process.files.disk.capacityBytes = Number.MAX_SAFE_INTEGER
      if (this.#fatal !== null) await this.#crash('fatal')
      await this.#turns(1)
    }
    this.#uploads.giveUp()
    for (let turns = 0; this.#process.isFull && turns < 2_000; turns++) await this.#turns(1)
    assert.ok(!this.#process.isFull, 'still full although there is room')
  }

  /** Everything is consumed: each queue gives exactly what it must, and the disk gets its room back. */
  async #drain(): Promise<void> {
    for (const channel of [...this.#channels]) channel.close()
    this.#channels = []
    await this.#quiet(3_000)
    await this.#checkQuiet()
    const channel = new SimulatedChannel(this, 0)
    this.#channels.push(channel)
    for (const definition of [...this.#topology.queues.values()]) {
      const model = this.#modelOf(definition)
      const handle = definition.queue as LocalQueue
      const consumer = new SimulatedConsumer(++this.#consumerCount, channel, handle, {
        isNoAck: false,
        limit: 500,
        priority: 0,
      })
      handle.shard.register(consumer, { done: () => {}, failed: assert.fail })
      channel.consumers.add(consumer)
      handle.shard.activate(consumer)
      for (let turns = 0; model.size > 0; turns++) {
        assert.ok(turns < 20_000, `${model.size} messages of ${definition.name} do not come`)
        channel.settle(0, channel.held.length, 'ack')
        await this.#turns(1)
      }
    }
    await this.#checkSegmentsGo()
    await this.#stopCleanly()
    for (const [, model] of this.#models) assert.ok(model.isDropped || model.size === 0, 'something came back')
    this.#process.end()
  }

  async #checkSegmentsGo(): Promise<void> {
    const segments = (): number => this.#process.log?.segments.length ?? 0
    for (let turns = 0; segments() > 2 && turns < 3_000; turns++) await this.#turns(1)
    assert.ok(segments() <= 2, `${segments()} segments are left of an empty shard`)
  }

  // ---------------------------------------------------------------- small things

  #below(bound: number): number {
    return this.#random.below(bound)
  }

  #modelOf(definition: QueueDefinition): ModelQueue {
    const model = this.#models.get(definition.id)
    assert.ok(model !== undefined)
    return model
  }

  /** Some queues, in any order, as they are now. */
  #someHandles(): LocalQueue[] {
    const handles = [...this.#topology.queues.values()].map((definition) => definition.queue as LocalQueue)
    const count = 1 + this.#below(this.#below(2) === 0 ? 1 : 4)
    for (let at = handles.length - 1; at > 0; at--) {
      const other = this.#below(at + 1)
      ;[handles[at], handles[other]] = [handles[other] as LocalQueue, handles[at] as LocalQueue]
    }
    return handles.slice(0, count)
  }

  #note(what: string): void {
    this.#trace = crc32(what, this.#trace)
  }

  #count(what: string): void {
    this.counts[what] = (this.counts[what] ?? 0) + 1
  }
}
