/** Large bodies on their way in: each is written piece by piece, given up, or ends in its publish. */
import type { SeededRandom } from '../../src/base/random.ts'
import { chunkBytes } from '../../src/broker/message.ts'
import type { BodyWriter } from '../../src/broker/ports.ts'
import type { LocalQueue } from '../../src/broker/queue/local-queue.ts'
import type { SentMessage } from '../support/sent-message.ts'

interface Upload {
  readonly message: SentMessage
  readonly writer: BodyWriter
  readonly handles: LocalQueue[]
  at: number
}

export class Uploads {
  readonly #random: SeededRandom
  readonly #publish: (message: SentMessage, handles: readonly LocalQueue[], writer: BodyWriter) => void
  #uploads: Upload[] = []

  constructor(
    random: SeededRandom,
    publish: (message: SentMessage, handles: readonly LocalQueue[], writer: BodyWriter) => void,
  ) {
    this.#random = random
    this.#publish = publish
  }

  begin(message: SentMessage, handles: LocalQueue[], isAtOnce: boolean): void {
    const first = handles[0]
    if (first === undefined) return
    const upload = { message, handles, writer: first.shard.openBody(message.isPersistent, message.bodyBytes), at: 0 }
    if (isAtOnce) while (!this.#continue(upload));
    else this.#uploads.push(upload)
  }

  /** Some go on a bit, are given up, or end in a publish. */
  goOn(): void {
    for (const upload of [...this.#uploads]) {
      if (this.#random.below(3) > 0) continue
      const isGivenUp = this.#random.below(12) === 0
      if (isGivenUp) upload.writer.abandon()
      if (isGivenUp || this.#continue(upload)) this.#uploads = this.#uploads.filter((other) => other !== upload)
    }
  }

  /** True when it has ended in its publish. */
  #continue(upload: Upload): boolean {
    const { message, writer, handles } = upload
    const end = Math.min(message.bodyBytes, upload.at + 1 + this.#random.below(chunkBytes))
    const { body } = message
    for (let at = upload.at; at < end; ) {
      const next = Math.min(end, (Math.floor(at / chunkBytes) + 1) * chunkBytes)
      writer.append(body, at, next)
      at = next
    }
    upload.at = end
    if (end < message.bodyBytes) return false
    this.#publish(message, handles, writer)
    return true
  }

  giveUp(): void {
    for (const upload of this.#uploads.splice(0)) upload.writer.abandon()
  }

  /** Who took them in is no more. */
  forget(): void {
    this.#uploads = []
  }
}
