/**
 * What a log knows of messages that came from elsewhere: publishes that other nodes have numbered, and dead letters of
 * other shards. Both may be sent again, and are stored once.
 */
import type { Log } from '../../log/log.ts'
import type { Source } from '../message-traits.ts'
import { Letters } from './letters.ts'
import { type Origin, Origins } from './origins.ts'
import { RecordKind } from './records.ts'

/** Who sent a message: another node as its publish with a number, another shard as a dead letter, or both. */
export interface Sender {
  readonly origin: Origin | null
  readonly letterOf: Source | null
}

export class Senders {
  readonly origins: Origins
  readonly letters: Letters

  /** Kinds of the records that say all of it again. */
  constructor(kinds: { readonly origins: number; readonly letters: number } = RecordKind) {
    this.origins = new Origins(kinds.origins)
    this.letters = new Letters(kinds.letters)
  }

  /** Whether the message is in the queue already. */
  has({ origin, letterOf }: Sender, queueId: number): boolean {
    return (origin !== null && this.origins.has(origin)) || (letterOf !== null && this.letters.has(letterOf, queueId))
  }

  /** A record of it is in the log. A dead letter of another shard is in one queue, this one. */
  stored({ origin, letterOf }: Sender, queueId: number): void {
    if (origin !== null) this.origins.stored(origin)
    if (letterOf !== null) this.letters.stored(letterOf, queueId)
  }

  /** Says all of it again, so that no earlier record is needed for it. */
  append(log: Log): void {
    this.origins.append(log)
    this.letters.append(log)
  }
}
