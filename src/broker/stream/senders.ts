/**
 * What a stream knows of messages that came from elsewhere: publishes that other nodes have numbered, and dead letters of
 * other shards. Both may be sent again, and are stored once.
 */
import type { Log } from '../../log/log.ts'
import { Letters } from '../shard/letters.ts'
import { Origins } from '../shard/origins.ts'
import { type Sender, StreamRecordKind } from './stream-records.ts'

export class Senders {
  readonly origins = new Origins(StreamRecordKind.origins)
  readonly letters = new Letters(StreamRecordKind.letters)

  /** Whether the message is there already. */
  has({ origin, letterOf }: Sender): boolean {
    return (origin !== null && this.origins.has(origin)) || (letterOf !== null && this.letters.has(letterOf))
  }

  /** A record of it is in the log. */
  stored({ origin, letterOf }: Sender): void {
    if (origin !== null) this.origins.stored(origin)
    if (letterOf !== null) this.letters.stored(letterOf)
  }

  /** Says all of it again, so that no earlier record is needed for it. */
  append(log: Log): void {
    this.origins.append(log)
    this.letters.append(log)
  }
}
