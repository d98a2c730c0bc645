import { copyBytes } from '../base/arena.ts'
import { assert } from '../base/assert.ts'
import { type Random, randomName } from '../base/random.ts'
import { Message } from '../broker/message.ts'
import type { ReplyRelay } from '../broker/reply-relay.ts'
import type { Channel } from './channel.ts'
import type { ConsumerSink } from './consumer-sink.ts'
import { MemoryBody } from './memory-body.ts'

/** The queue that is none: consuming from it, or naming it in `reply_to`, asks for direct replies. */
export const directReplyQueue = 'amq.rabbitmq.reply-to'
/** What the names begin with under which single channels get their replies. */
export const directReplyPrefix = `${directReplyQueue}.`

/** Characters of a name that nobody can guess: 64 possibilities each, so 192 bits. */
const tokenCharacters = 32

/**
 * Who waits for direct replies (RabbitMQ's direct reply-to): at most one consumer per channel, each under a name that is
 * made for it. A reply is published to the default exchange with that name as its key and goes straight into the output
 * of the channel, which must be in the same vhost; if it is on another node, by the `ReplyRelay`. It is delivered at most
 * once: when the consumer or its channel is gone, or its peer reads so little that `replyOutputBytesMax` waits, it is
 * dropped.
 */
export class DirectReplies {
  readonly #random: Random
  readonly #relay: ReplyRelay | null
  readonly #consumers = new Map<string, ReplyConsumer>()

  /** `relay` is null where there are no other nodes. */
  constructor(random: Random, relay: ReplyRelay | null = null) {
    this.#random = random
    this.#relay = relay
    relay?.receive((vhost, name, message) => {
      const consumer = this.#consumers.get(directReplyPrefix + name)
      if (consumer?.channel.vhost.name === vhost) consumer.sink.reply(message)
    })
  }

  /** Registers the channel's consumer; returns it with the name that its replies are sent to. */
  open(channel: Channel, sink: ConsumerSink): ReplyConsumer {
    const token = randomName(this.#random, tokenCharacters)
    const consumer = { name: directReplyPrefix + (this.#relay?.nameOf(token) ?? token), channel, sink }
    assert(!this.#consumers.has(consumer.name), 'no two consumers of replies have one name')
    this.#consumers.set(consumer.name, consumer)
    return consumer
  }

  close(consumer: ReplyConsumer): void {
    this.#consumers.delete(consumer.name)
  }

  /** Who on this node gets the replies that are sent to this name from this vhost; null when nobody does (any more). */
  find(vhost: object, name: string): ReplyConsumer | null {
    const consumer = this.#consumers.get(name)
    return consumer?.channel.vhost === vhost ? consumer : null
  }

  /** Whether somebody gets the replies that are sent to this name: a channel here, or one of a node that is there. */
  has(vhost: object, name: string): boolean {
    return this.find(vhost, name) !== null || this.#isElsewhere(name)
  }

  /** Whether any of the names leads to somebody. */
  hasAny(vhost: object, names: readonly string[]): boolean {
    return names.some((name) => this.has(vhost, name))
  }

  #isElsewhere(name: string): boolean {
    return this.#relay !== null && name.startsWith(directReplyPrefix) && this.#relay.reaches(nameWithoutPrefix(name))
  }

  /**
   * Writes the reply to the outputs of those that the names lead to; whether there was anybody. A large body must be in
   * memory (`MemoryBody`) and stays the caller's.
   */
  deliver(vhost: { readonly name: string }, names: readonly string[], message: Message): boolean {
    let hasFound = false
    let whole: Message | null = null
    for (const name of names) {
      const consumer = this.find(vhost, name)
      if (consumer === null && !this.#isElsewhere(name)) continue
      hasFound = true
      whole ??= message.chunks instanceof MemoryBody ? joined(message, message.chunks) : message
      if (consumer !== null) consumer.sink.reply(whole)
      else this.#relay?.send(vhost.name, nameWithoutPrefix(name), whole)
    }
    return hasFound
  }
}

function nameWithoutPrefix(name: string): string {
  return name.slice(directReplyPrefix.length)
}

export interface ReplyConsumer {
  readonly name: string
  readonly channel: Channel
  readonly sink: ConsumerSink
}

/** The message with its body in one piece behind its header. */
function joined(message: Message, body: MemoryBody): Message {
  const beginning = message.contentEnd - message.routeStart
  const buffer = new Uint8Array(beginning + body.bodyBytes)
  assert(message.contentStart === message.routeEnd, 'a large message lies in one piece but for its body')
  copyBytes(message.buffer, message.routeStart, message.contentEnd, buffer, 0)
  body.copyTo(buffer, beginning)
  const whole = new Message()
  whole.buffer = buffer
  whole.routeEnd = message.routeEnd - message.routeStart
  whole.contentStart = whole.routeEnd
  whole.contentEnd = buffer.length
  whole.bodyBytes = message.bodyBytes
  return whole
}
