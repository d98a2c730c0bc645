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
    const entry = { queueId: queue.id, sequence }
    queue.residences.add(sequence, this.#residence(queue, message, parent, { entry, origin }))
  }

  /** It went straight to a consumer that need not acknowledge. */
  passed(queue: LocalQueue, message: Message): void {
    const parent = sampledParentOf(message)
    if (parent === null || !this.#listener.began()) return
    const residence = this.#residence(queue, message, parent, { entry: null, origin: null })
    residence.deliveries = 1
    residence.deliveredAt.push(residence.enteredAt)
    this.#listener.ended(residence, 'acknowledged')
  }

  #residence(
    { definition }: LocalQueue,
    message: Message,
    parent: TraceParent,
    places: Pick<Residence, 'entry' | 'origin'>,
  ): Residence {
    return {
      ...parent,
      ...places,
      queue: definition.name,
      vhost: definition.vhost,
      routingKey: routingKeyOf(message),
      bodyBytes: message.bodyBytes,
      enteredAt: this.#listener.now(),
      deliveredAt: [],
      deliveries: 0,
      death: null,
      isDeadLetter: false,
    }
  }
}
