import type { Message } from '../message.ts'
import type { Source } from '../message-traits.ts'
import type { LocalQueue } from '../queue/local-queue.ts'
import { type Residence, type ResidenceListener, Residences } from '../queue/residences.ts'
import { routingKeyOf, sampledParentOf, type TraceParent } from '../trace-parent.ts'

/** Follows messages whose publisher traces them through the queues. There is one only where that is asked for. */
export class Tracing {
  readonly #listener: ResidenceListener

  constructor(listener: ResidenceListener) {
    this.#listener = listener
  }

  /** Before the entry is there: it may be delivered as soon as it is. `origin`: the entry whose dead letter it is. */
  enters(queue: LocalQueue, sequence: number, message: Message, origin: Source | null): void {
    const parent = sampledParentOf(message)
    if (parent === null || !this.#listener.began()) return
    queue.residences ??= new Residences(this.#listener)
    const facts = { entry: { queueId: queue.id, sequence }, origin, enteredAt: this.#listener.now() }
    queue.residences.add(sequence, this.#residence(queue, message, parent, facts))
  }

  /** What was there before the shard was opened is followed from its first delivery on, as having come when it came. */
  delivered(queue: LocalQueue, sequence: number, message: Message, arrivedAt: number): void {
    if (queue.residences?.delivered(sequence) === true || sequence >= queue.foundBelow) return
    const parent = sampledParentOf(message)
    if (parent === null || !this.#listener.began()) return
    queue.residences ??= new Residences(this.#listener)
    const facts = { entry: { queueId: queue.id, sequence }, origin: null, enteredAt: arrivedAt }
    queue.residences.add(sequence, this.#residence(queue, message, parent, facts))
    queue.residences.delivered(sequence)
  }

  /** It went straight to a consumer that need not acknowledge. */
  passed(queue: LocalQueue, message: Message): void {
    const parent = sampledParentOf(message)
    if (parent === null || !this.#listener.began()) return
    const facts = { entry: null, origin: null, enteredAt: this.#listener.now() }
    const residence = this.#residence(queue, message, parent, facts)
    residence.deliveries = 1
    residence.deliveredAt.push(residence.enteredAt)
    this.#listener.ended(residence, 'acknowledged')
  }

  #residence(
    { definition }: LocalQueue,
    message: Message,
    parent: TraceParent,
    facts: Pick<Residence, 'entry' | 'origin' | 'enteredAt'>,
  ): Residence {
    return {
      ...parent,
      ...facts,
      queue: definition.name,
      vhost: definition.vhost,
      routingKey: routingKeyOf(message),
      bodyBytes: message.bodyBytes,
      deliveredAt: [],
      deliveries: 0,
      death: null,
      isDeadLetter: false,
    }
  }
}
