/**
 * Dead letters on their way to queues of other shards, several at a time. The entry that one comes from stays in its
 * queue, held by the broker, until all of them have it. The letter names that entry, so that whoever has stored it
 * before, for this owner of the shard or an earlier one, does not store it again (`letters.ts`).
 */
import type { Message } from '../message.ts'
import { MessageTraits, type Source } from '../message-traits.ts'
import type { BodyWriter, ConfirmSink, Queue } from '../ports.ts'

/** Dead letters of one shard that are sent and not answered, at most; the others wait in their queues. */
export const lettersUnderWayMax = 256
/** The same in bytes, with the large bodies that are kept for them. The one that reaches it is still sent, however large it is. */
export const lettersUnderWayBytesMax = 4 * 1024 * 1024

export interface OutgoingLetter {
  readonly letter: Message
  /** Null where the source is not stored: it is not sent again by a later owner. */
  readonly source: Source | null
  readonly queues: readonly Queue[]
  /** Large bodies, written where the queues are. */
  readonly bodies?: Map<Queue | null, BodyWriter> | null
}

export class OutgoingLetters {
  /** Of a letter that has no traits besides. */
  readonly #plainTraits = new MessageTraits()
  #count = 0
  #bytes = 0
  #waiting: (() => void)[] = []

  get hasRoom(): boolean {
    return this.#count < lettersUnderWayMax && this.#bytes < lettersUnderWayBytesMax
  }

  /** Calls back when half of what may be under way is answered. */
  whenRoom(done: () => void): void {
    this.#waiting.push(done)
  }

  /** Bytes of a large body that is about to be copied into memory, or may be. */
  hold(bytes: number): void {
    this.#bytes += bytes
  }

  letGo(bytes: number): void {
    this.#bytes -= bytes
    if (bytes > 0) this.#callWaiting()
  }

  /** Calls back, perhaps at once, when all queues have answered: whether all of them have it. */
  send({ letter, source, queues, bodies }: OutgoingLetter, answered: (isStored: boolean) => void): void {
    const bytes = letter.contentEnd - letter.routeStart
    this.#count++
    this.#bytes += bytes
    let left = queues.length
    let isStored = true
    const answer = (isTaken: boolean): void => {
      isStored = isStored && isTaken
      if (--left > 0) return
      this.#count--
      this.#bytes -= bytes
      answered(isStored)
      this.#callWaiting()
    }
    const sink: ConfirmSink = { confirm: () => answer(true), refuse: () => answer(false) }
    this.mark(letter, source)
    for (const queue of queues) {
      letter.chunks = bodies?.get(queue) ?? null
      bodies?.delete(queue)
      queue.shard.publish(letter, [queue], 1, sink, 0)
    }
    letter.chunks = null
  }

  /** Other shards take it like a publish; it says what it is. */
  mark(letter: Message, source: Source | null): void {
    letter.traits ??= this.#plainTraits
    letter.traits.isDeadLetter = true
    letter.traits.letterOf = source
  }

  #callWaiting(): void {
    if (this.#count > lettersUnderWayMax / 2 || this.#bytes > lettersUnderWayBytesMax / 2) return
    for (const done of this.#waiting.splice(0)) done()
  }
}
