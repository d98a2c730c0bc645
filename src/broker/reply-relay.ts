import type { Message } from './message.ts'

/**
 * Takes direct replies to channels of other nodes. A name that a channel gets its replies under says which node gave it
 * out, and is signed: whether it is genuine can be told anywhere.
 */
export interface ReplyRelay {
  /** The part of a name behind RabbitMQ's prefix, made from an unguessable token. */
  nameOf(token: string): string
  /** Whether a node that can be reached now gave this name (without prefix) out; false for names of this node. */
  reaches(name: string): boolean
  /** Sends a reply on, at most once: when the other node goes, it is lost. The message is whole, its view valid during the call only. */
  send(vhost: string, name: string, message: Message): void
  /** Who takes replies that other nodes send here. */
  receive(receiver: (vhost: string, name: string, message: Message) => void): void
}
