/**
 * What a publisher asked for this one message beyond routing and persistence: read from its properties and headers once,
 * by whoever takes it in. Most messages have none (`Message.traits` is null), which keeps their way short.
 *
 * One object is used again and again, like the message it belongs to.
 */
export class MessageTraits {
  /** `x-delay` or `x-deliver-at`, as wall time in milliseconds: not before then; 0: at once. */
  dueAt = 0
  /** `expiration` in milliseconds from when the message is due; null: it does not expire by itself. */
  expirationMs: number | null = null
  /** The `priority` property; 0 where the message does not say. */
  priority = 0
  /** `x-group`: at most one of a key is in flight; '' is none. At most `groupBytesMax` bytes of UTF-8. */
  group = ''
  /** Keys of BCC, which the message itself no longer tells: a dead letter goes by them too. */
  blindKeys: readonly string[] = noKeys
  /** A dead letter of another shard: it has been taken once, so it is no duplicate. Not stored. */
  isDeadLetter = false
  /** The entry of another shard that it is the dead letter of, to one queue; null: of none, or of one that is not stored. */
  letterOf: Source | null = null

  clear(): void {
    this.dueAt = 0
    this.expirationMs = null
    this.priority = 0
    this.group = ''
    this.blindKeys = noKeys
    this.isDeadLetter = false
    this.letterOf = null
  }

  /** For whoever keeps the message. */
  copy(): MessageTraits {
    return Object.assign(new MessageTraits(), this)
  }
}

/** An entry of a queue, where a log knows it: no other one ever has both numbers. */
export interface Source {
  readonly queueId: number
  readonly sequence: number
}

/** The entry that a dead letter comes from. */
export interface LetterSource extends Source {
  /** False: only memory knows it, so nothing that is stored may name it. */
  readonly isStored: boolean
}

const noKeys: readonly string[] = []

/** Bytes of the keys of BCC that are remembered for a message's dead letter; further ones only route it once. */
export const blindKeyBytesMax = 16 * 1024
/** Longer ones are refused with 406. */
export const groupBytesMax = 255
/** The longest delay there is: ten years, in milliseconds. */
export const delayMsMax = 315_360_000_000
