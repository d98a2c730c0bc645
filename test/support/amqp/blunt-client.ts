/**
 * A client for masses: it logs in, sends what it is given as fast as the broker takes it, and of what comes it counts
 * the methods and forgets the rest. It can stop reading.
 *
 * Not for looking at messages, which is `raw-client.ts`.
 */
import { connect, type Socket } from 'node:net'
import { methodNamed } from './methods.ts'
import { type Address, fullCapabilities, plainResponse, protocolHeader } from './raw-client.ts'
import { frameMethod, method } from './wire.ts'

/** Type, channel and size; and behind them class and method. */
const headBytes = 7
const methodBytes = headBytes + 4

/** How long a test waits for what must come. */
const waitMsMax = 60_000

export class BluntClient {
  readonly #socket: Socket
  /** Methods by class and method number. */
  readonly #counts = new Map<number, number>()
  readonly #waiting = new Set<() => void>()
  /** The beginning of a frame whose end has not come: its head, and of a method the number. */
  readonly #head = Buffer.alloc(methodBytes)
  #have = 0
  /** Bytes of the present frame that are still to come and mean nothing to us. */
  #skip = 0
  #isGone = false

  private constructor(socket: Socket) {
    this.#socket = socket
    socket.on('data', (bytes: Buffer) => this.#received(bytes))
    socket.on('error', () => socket.destroy())
    socket.on('close', () => {
      this.#isGone = true
      this.#wake()
    })
  }

  /** Logged in, with these channels open. */
  static async connect(address: Address, channels = 1): Promise<BluntClient> {
    const socket = connect({ host: address.host, port: address.port, noDelay: true })
    await new Promise<void>((resolve, reject) => socket.once('connect', resolve).once('error', reject))
    const client = new BluntClient(socket)
    const response = plainResponse(address.user, address.password)
    const clientProperties = { product: 'blunt test client', capabilities: fullCapabilities }
    await client.send(
      protocolHeader,
      method(0, 'connection.start-ok', { clientProperties, mechanism: 'PLAIN', response, locale: 'en_US' }),
      method(0, 'connection.tune-ok', { channelMax: 2047, frameMax: 131_072, heartbeat: 0 }),
      method(0, 'connection.open', { vhost: '/' }),
      ...Array.from({ length: channels }, (_, index) => method(index + 1, 'channel.open')),
    )
    await client.until('channel.open-ok', channels)
    return client
  }

  /** Resolves when the socket has taken everything. */
  async send(...pieces: Buffer[]): Promise<void> {
    const bytes = pieces.length === 1 ? (pieces[0] ?? Buffer.alloc(0)) : Buffer.concat(pieces)
    await new Promise<void>((resolve) => this.#socket.write(bytes, () => resolve()))
  }

  /** Sends `bytes`, which hold `each` of something, until there were `total` of them. */
  async sendMany(bytes: Buffer, each: number, total: number): Promise<void> {
    for (let sent = 0; sent < total; sent += each) await this.send(bytes)
  }

  /** How many of a method have come. */
  count(name: string): number {
    return this.#counts.get(keyOf(name)) ?? 0
  }

  /** Waits until so many of a method have come. */
  async until(name: string, count: number): Promise<void> {
    const deadline = Date.now() + waitMsMax
    while (this.count(name) < count) {
      if (this.#isGone) throw new Error(`the connection ended after ${this.count(name)} of ${count} ${name}`)
      if (!(await this.#more(deadline - Date.now()))) {
        throw new Error(`${this.count(name)} of ${count} ${name} came within ${waitMsMax} ms`)
      }
    }
  }

  /** Sends a request and waits for its answer. */
  async call(channel: number, name: string, args: Parameters<typeof method>[2] = {}): Promise<void> {
    const before = this.count(`${name}-ok`)
    await this.send(method(channel, name, args))
    await this.until(`${name}-ok`, before + 1)
  }

  /** From now on nothing is read. */
  stopReading(): void {
    this.#socket.pause()
  }

  readOn(): void {
    this.#socket.resume()
  }

  get isGone(): boolean {
    return this.#isGone
  }

  /** Drops the connection without a word. */
  destroy(): void {
    this.#socket.destroy()
  }

  #received(bytes: Buffer): void {
    for (let at = 0; at < bytes.length; ) {
      if (this.#skip > 0) {
        const skipped = Math.min(this.#skip, bytes.length - at)
        this.#skip -= skipped
        at += skipped
      } else at += this.#begin(bytes, at)
    }
    this.#wake()
  }

  /** Takes what is there of a frame's head, and of a method's number; returns how many bytes that were. */
  #begin(bytes: Buffer, at: number): number {
    const wanted = this.#have < headBytes ? headBytes : methodBytes
    const taken = bytes.copy(this.#head, this.#have, at, at + wanted - this.#have)
    this.#have += taken
    const payloadBytes = this.#head.readUInt32BE(3)
    const isMethod = this.#head.readUInt8(0) === frameMethod
    if (this.#have === methodBytes) this.#counted(this.#head.readUInt32BE(headBytes))
    if (this.#have === methodBytes || (this.#have === headBytes && !isMethod)) {
      this.#skip = headBytes + payloadBytes + 1 - this.#have
      this.#have = 0
    }
    return taken
  }

  #counted(key: number): void {
    this.#counts.set(key, (this.#counts.get(key) ?? 0) + 1)
  }

  #wake(): void {
    for (const wake of this.#waiting) wake()
  }

  async #more(ms: number): Promise<boolean> {
    if (ms <= 0) return false
    return new Promise((resolve) => {
      const timer = setTimeout(() => end(false), ms)
      const end = (isMore: boolean): void => {
        clearTimeout(timer)
        this.#waiting.delete(wake)
        resolve(isMore)
      }
      const wake = (): void => end(true)
      this.#waiting.add(wake)
    })
  }
}

function keyOf(name: string): number {
  const { classId, methodId } = methodNamed(name)
  return classId * 0x1_0000 + methodId
}
