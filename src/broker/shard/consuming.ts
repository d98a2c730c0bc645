/**
 * The commands of those who take messages: gets, consumers that come and go, what they settle. Decides who may and keeps
 * their credit; who gets what is `delivery.ts`.
 */
import type { Clock } from '../../base/clock.ts'
import { BrokerError } from '../errors.ts'
import type { Consumer, GetSink, Outcome, Queue, Reply } from '../ports.ts'
import { LateWords } from '../queue/late-words.ts'
import type { LocalQueue } from '../queue/local-queue.ts'
import type { Deadlines } from './deadlines.ts'
import type { Delivery } from './delivery.ts'
import type { Settling } from './settling.ts'

export interface ConsumingPorts {
  readonly delivery: Delivery
  readonly settling: Settling
  readonly clock: Clock
  readonly deadlines: Deadlines
  /** Somebody did what counts as a use of the queue. */
  used(queue: LocalQueue): void
  isServing(): boolean
}

export class Consuming {
  readonly #ports: ConsumingPorts

  constructor(ports: ConsumingPorts) {
    this.#ports = ports
  }

  get(queue: LocalQueue, isNoAck: boolean, sink: GetSink): void {
    const refusal = this.#refusalOf(queue) ?? refusalOfGet(queue)
    if (refusal !== null) return sink.failed(refusal)
    this.#ports.used(queue)
    queue.gets.push({ sink, isNoAck })
    this.#ports.delivery.pump(queue)
  }

  register(consumer: Consumer, reply: Reply<number>): void {
    const queue = consumer.queue as LocalQueue
    const refusal = this.#refusalOf(queue)
    if (refusal !== null) return reply.failed(refusal)
    const members = queue.turns.members
    // An exclusive consumer is the only one.
    const [first] = members
    const isTaken =
      (first !== undefined && (consumer.isExclusive || first.isExclusive)) ||
      (consumer.isExclusive && queue.turns.isSingleActive)
    if (isTaken) return reply.failed(new BrokerError('access-refused', `${nameOf(queue)} in exclusive use`))
    queue.turns.add(consumer)
    reply.done(-1, 0)
  }

  activate(consumer: Consumer): void {
    const queue = consumer.queue as LocalQueue
    if (!queue.turns.members.has(consumer)) return
    consumer.isActive = true
    this.resume(consumer)
  }

  unregister(consumer: Consumer, reply: Reply<number>): void {
    const queue = consumer.queue as LocalQueue
    queue.turns.remove(consumer)
    this.#ports.used(queue)
    // The next one of those that wait to be the active one.
    const { active, isSingleActive } = queue.turns
    if (isSingleActive && active !== null) {
      queue.turns.enter(active)
      // What the one that left held goes back first.
      this.#ports.delivery.pumpLater(queue)
    }
    reply.done(queue.turns.members.size, 0)
  }

  resume(consumer: Consumer): void {
    const queue = consumer.queue as LocalQueue
    queue.turns.enter(consumer)
    this.#ports.delivery.pump(queue)
  }

  settle(queue: Queue, consumer: Consumer | null, first: number, last: number, outcome: Outcome): void {
    const { delivery, settling } = this.#ports
    const local = queue as LocalQueue
    const isThere = this.#ports.isServing() && !local.isDropped
    // Of a queue that is gone nothing is known any more; the credit comes back all the same.
    const held = isThere
      ? settling.settleHeld(local, { holder: consumer?.id ?? 0, first, last, outcome })
      : Math.min(last - first + 1, consumer?.unacked ?? 0)
    if (consumer !== null) this.#giveCredit(local, consumer, held)
    if (held === 0 || !isThere) return
    // Of many that come back one after the other, the first must not draw those behind after it, nor make them too many.
    if (outcome === 'requeue' || outcome === 'fail') delivery.pumpLater(local)
    else delivery.pump(local)
  }

  extendLease(queue: LocalQueue, consumer: Consumer | null, sequence: number, ms: number): void {
    if (queue.leases === null || queue.isDropped || !this.#ports.isServing()) return
    queue.leases.extend(sequence, consumer, this.#ports.clock.now(), ms)
    this.#ports.deadlines.arm(queue, queue.leases.nextEnd)
  }

  /** A delivery was kept too long: it has failed, and its consumer may take another one. */
  leaseEnded(queue: LocalQueue, sequence: number, consumer: Consumer | null): void {
    const holder = consumer?.id ?? 0
    const held = { holder, first: sequence, last: sequence, outcome: 'fail', isLeaseEnd: true } as const
    const count = this.#ports.settling.settleHeld(queue, held)
    if (count === 0) return
    if (consumer === null) {
      // Gets are one holder: which of them says what is not known.
      queue.lateWords ??= new LateWords()
      queue.lateWords.expect(sequence, holder)
      return
    }
    consumer.sink.leaseEnded(consumer, sequence)
    this.#giveCredit(queue, consumer, count)
  }

  /** A consumer holds so many less. When it was the last thing a single active consumer left behind, the next has its turn. */
  #giveCredit(queue: LocalQueue, consumer: Consumer, count: number): void {
    consumer.unacked -= count
    if (consumer.shared !== null) consumer.shared.unacked -= count
    queue.turns.enter(consumer)
    if (queue.turns.awaited !== consumer || consumer.unacked > 0) return
    queue.turns.awaited = null
    this.#ports.delivery.pumpLater(queue)
  }

  /** The queue gives nothing any more: everyone who waits for something of it is told. */
  end(queue: LocalQueue, reason: (queue: LocalQueue) => BrokerError): void {
    const gets = queue.gets
    queue.gets = []
    for (const get of gets) get.sink.failed(reason(queue))
    for (const consumer of [...queue.turns.members]) {
      queue.turns.remove(consumer)
      consumer.sink.cancelled(consumer)
    }
  }

  #refusalOf(queue: LocalQueue): BrokerError | null {
    if (!this.#ports.isServing()) return noShard()
    return queue.isDropped ? noQueue(queue) : null
  }
}

/** Of quorum queues only the active consumer gets anything; classic ones give to a get as well. */
function refusalOfGet(queue: LocalQueue): BrokerError | null {
  const type = queue.definition.arguments.fields.get('x-queue-type')?.value
  if (!queue.turns.isSingleActive || type !== 'quorum') return null
  return new BrokerError(
    'resource-locked',
    `cannot obtain access to locked ${nameOf(queue)}. basic.get operations are not supported by quorum queues with single active consumer`,
  )
}

export function noShard(): BrokerError {
  return new BrokerError('internal-error', 'the shard of this queue is not available')
}

export function noQueue(queue: LocalQueue): BrokerError {
  return new BrokerError('not-found', `no ${nameOf(queue)}`)
}

function nameOf({ definition }: LocalQueue): string {
  return `queue '${definition.name}' in vhost '${definition.vhost}'`
}
