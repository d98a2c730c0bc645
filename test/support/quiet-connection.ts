/**
 * A quiet connection beside whatever else goes on: it sends itself a message every few milliseconds and notes how long
 * each took. On a thread of its own, so that what the test does meanwhile does not count.
 *
 * Messages go out by the clock, whether or not the ones before have come back: a broker that stands still for 100 ms
 * shows in every message of these 100 ms, not in one.
 */
import { connect, type Socket } from 'node:net'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'
import { type Address, plainResponse, protocolHeader } from './amqp/raw-client.ts'
import { content, frameBody, method } from './amqp/wire.ts'

const everyMs = 2

/** How long the last message may take once all else is over. */
const backMsMax = 60_000

/** How long a message took, in milliseconds. */
export interface Delays {
  readonly count: number
  readonly p50: number
  readonly p99: number
  readonly max: number
  /** The longest time between two messages that went out: longer than `everyMs` when the machine itself had no time for the thread. */
  readonly gap: number
}

export class QuietConnection {
  readonly #worker: Worker

  private constructor(worker: Worker) {
    this.#worker = worker
  }

  /** Connected, and its first message has come back. */
  static async start(address: Address): Promise<QuietConnection> {
    const worker = new Worker(new URL(import.meta.url), { workerData: address })
    const quiet = new QuietConnection(worker)
    await quiet.#answer()
    return quiet
  }

  /** The delays of what was sent while `during` ran. Waits for the last of it. */
  async beside(during: () => Promise<void>): Promise<Delays> {
    await this.#ask('from')
    await during()
    return this.#ask('until')
  }

  async stop(): Promise<void> {
    await this.#worker.terminate()
  }

  async #ask(question: 'from' | 'until'): Promise<Delays> {
    this.#worker.postMessage(question)
    return this.#answer()
  }

  #answer(): Promise<Delays> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`messages did not come back for ${backMsMax} ms`)), backMsMax)
      this.#worker.once('message', (delays: Delays) => {
        clearTimeout(timer)
        this.#worker.off('error', reject)
        resolve(delays)
      })
      this.#worker.once('error', reject)
    })
  }
}

/** One line: what, and how long messages took beside it. */
export function shown(what: string, { count, p50, p99, max, gap }: Delays): string {
  const ms = (value: number): string => `${value.toFixed(1)} ms`
  return `${what}: p50 ${ms(p50)}, p99 ${ms(p99)}, max ${ms(max)} of ${count}; sent at least every ${ms(gap)}`
}

// ---------------------------------------------------------------- on the thread

/** Sends and measures. The bodies are numbers of eight octets. */
class Pinger {
  readonly #socket: Socket
  readonly #message: Buffer
  readonly #numberAt: number
  /** When each message went out; 0 once it has come back. */
  #sent: number[] = []
  #outstanding = 0
  #delays: number[] = []
  #lastSent = performance.now()
  #gap = 0
  #rest: Buffer = Buffer.alloc(0)
  #whenAllBack: (() => void) | null = null

  constructor(socket: Socket, queue: string) {
    this.#socket = socket
    this.#message = Buffer.concat([
      method(1, 'basic.publish', { routingKey: queue }),
      content(1, {}, Buffer.alloc(8), 4088),
    ])
    this.#numberAt = this.#message.length - 9
    socket.on('data', (bytes) => this.#received(bytes))
  }

  ping(): void {
    const now = performance.now()
    this.#gap = Math.max(this.#gap, now - this.#lastSent)
    this.#lastSent = now
    this.#message.writeDoubleBE(this.#sent.length, this.#numberAt)
    this.#sent.push(now)
    this.#outstanding++
    this.#socket.write(Buffer.from(this.#message))
  }

  /** Forgets what was measured. */
  from(): void {
    this.#delays = []
    this.#gap = 0
    this.#lastSent = performance.now()
  }

  /** What was measured, once all that is under way has come back. */
  until(): Promise<Delays> {
    return new Promise((resolve) => {
      this.#whenAllBack = () => resolve(summary(this.#delays, this.#gap))
      if (this.#outstanding === 0) this.#allBack()
    })
  }

  #allBack(): void {
    this.#whenAllBack?.()
    this.#whenAllBack = null
  }

  #received(bytes: Buffer): void {
    let rest = Buffer.concat([this.#rest, bytes])
    while (rest.length >= 7 && rest.length >= rest.readUInt32BE(3) + 8) {
      const size = rest.readUInt32BE(3)
      if (rest.readUInt8(0) === frameBody) this.#cameBack(rest.readDoubleBE(7))
      rest = rest.subarray(size + 8)
    }
    this.#rest = rest
  }

  #cameBack(number: number): void {
    this.#delays.push(performance.now() - (this.#sent[number] ?? 0))
    this.#outstanding--
    if (this.#outstanding === 0) this.#allBack()
  }
}

function summary(delays: number[], gap: number): Delays {
  const sorted = [...delays].sort((a, b) => a - b)
  const at = (share: number): number => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0
  return { count: sorted.length, p50: at(0.5), p99: at(0.99), max: at(1), gap }
}

async function openSocket(address: Address, queue: string): Promise<Socket> {
  const socket = connect({ host: address.host, port: address.port, noDelay: true })
  await new Promise<void>((resolve, reject) => socket.once('connect', resolve).once('error', reject))
  socket.write(
    Buffer.concat([
      protocolHeader,
      method(0, 'connection.start-ok', {
        clientProperties: { product: 'quiet test client' },
        mechanism: 'PLAIN',
        response: plainResponse(address.user, address.password),
        locale: 'en_US',
      }),
      method(0, 'connection.tune-ok', { channelMax: 1, frameMax: 131_072, heartbeat: 0 }),
      method(0, 'connection.open', { vhost: '/' }),
      method(1, 'channel.open'),
      method(1, 'queue.declare', { queue, exclusive: true }),
      method(1, 'basic.consume', { queue, noAck: true }),
    ]),
  )
  return socket
}

async function runThread(address: Address): Promise<void> {
  const queue = `quiet-${process.pid}-${performance.now()}`
  const pinger = new Pinger(await openSocket(address, queue), queue)
  pinger.ping()
  const first = await pinger.until()
  setInterval(() => pinger.ping(), everyMs)
  parentPort?.on('message', (question: 'from' | 'until') => {
    if (question === 'until') void pinger.until().then((delays) => parentPort?.postMessage(delays))
    else {
      pinger.from()
      parentPort?.postMessage(summary([], 0))
    }
  })
  parentPort?.postMessage(first)
}

if (!isMainThread && parentPort !== null) await runThread(workerData as Address)
