/**
 * What nodes tell and ask one another for those who look after the cluster, on `services.management`, in the frames of
 * `link/requests.ts`. Nothing is decided by it but what limits of connections and channels hold over.
 *
 *     tell      kind u8 | then, by kind
 *               1 queues      (queue u64 | ready u32 | unacked u32 | consumers u32) …
 *               2 sessions    u8 1: all there are, what was told before is over | (kind u8 | connections u32 | channels u32
 *                             | name, short string) …
 *               3 logins      of `login-reports.ts`: (kind u8 1: a key | id, 8 bytes | seed, 32 bytes | made at u64),
 *                             (2: one that was ended | id, 16 bytes | begun at u64 | until u64), (3: ended until u64) …
 *               4 consumers   (queue u64) …: auto-delete queues to which a consumer has come
 *     ask       a question of the management interface, JSON; answered with JSON
 */
import { ByteWriter } from '../amqp/byte-writer.ts'
import type { Clock } from '../base/clock.ts'
import { Requests } from './link/requests.ts'
import { type Peer, type Peers, services } from './peers.ts'

export const tellings = { queues: 1, sessions: 2, logins: 3, consumers: 4 } as const
export type Telling = keyof typeof tellings

/** Of what is told, in bytes; longer is told in several messages. */
export const toldBytesMax = 256 * 1024

export interface ToldHandler {
  /** `bytes[start..end)` is valid during the call only. */
  told(peer: Peer, bytes: Uint8Array, start: number, end: number): void
  up(peer: Peer): void
  down(peer: Peer): void
}

type AnswerQuestion = (question: Uint8Array) => Promise<Uint8Array>

export class ManagementLink {
  readonly #peers: Peers
  readonly #requests: Requests
  readonly #handlers = new Map<number, ToldHandler>()
  #answer: AnswerQuestion | null = null

  /** Before the links start. */
  constructor(peers: Peers, clock: Clock) {
    this.#peers = peers
    this.#requests = new Requests({ peers, clock, outstandingMax: questionsMax })
    this.#requests.serve(services.management, {
      answer: (_peer, question) => this.#answered(question),
      // A kind that nobody knows here is one of a later version.
      told: (peer, bytes, start, end) => this.#handlers.get(bytes[start] ?? 0)?.told(peer, bytes, start + 1, end),
      up: (peer) => this.#each((handler) => handler.up(peer)),
      down: (peer) => this.#each((handler) => handler.down(peer)),
    })
  }

  get peers(): Iterable<Peer> {
    return this.#peers.all
  }

  /** Once per kind, before the links start. */
  hear(telling: Telling, handler: ToldHandler): void {
    this.#handlers.set(tellings[telling], handler)
  }

  /** A writer for what is to be told; its first byte is the kind. */
  writer(telling: Telling): ByteWriter {
    return this.begin(new ByteWriter(4_096), telling)
  }

  /** The same once more. */
  begin(writer: ByteWriter, telling: Telling): ByteWriter {
    writer.reset()
    writer.uint8(tellings[telling])
    return writer
  }

  /** What is in the writer, which is copied. */
  tell(peer: Peer, writer: ByteWriter): void {
    this.#requests.tell(peer, services.management, writer.buffer.subarray(0, writer.length))
  }

  /** Resolves with the answer; rejects with `RequestFailed`, at the latest after `timeoutMs`. */
  ask(node: string, question: Uint8Array, timeoutMs: number): Promise<Uint8Array> {
    return this.#requests.ask(node, services.management, question, timeoutMs)
  }

  /** Who answers what other nodes ask; before there is one they are refused. */
  answers(answer: AnswerQuestion): void {
    this.#answer = answer
  }

  #answered(question: Uint8Array): Promise<Uint8Array> {
    if (this.#answer === null) throw new Error('this node cannot be asked yet')
    return this.#answer(question)
  }

  #each(say: (handler: ToldHandler) => void): void {
    for (const handler of this.#handlers.values()) say(handler)
  }
}

/** Questions that wait for one node, or that one node has asked: each may hold an answer of a quarter of a MiB. */
const questionsMax = 256
