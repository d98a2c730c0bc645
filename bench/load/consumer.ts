import { Histogram } from '../stats/histogram.ts'
import { AckBuffer } from '../wire/ack-buffer.ts'
import { frameEnd } from '../wire/frame-end.ts'
import { basicConsume, basicQos } from '../wire/method-frames.ts'
import { FrameType, MethodId } from '../wire/method-ids.ts'
import { RawConnection } from '../wire/raw-connection.ts'
import type { FrameReader } from '../wire/read-buffer.ts'
import type { Board } from './board.ts'
import { DeliveryChecker } from './delivery-checker.ts'
import type { ConsumeJob } from './jobs.ts'
import { monotonicMs } from './monotonic-time.ts'
import { Problems } from './problems.ts'

const zeroDigit = 48

/**
 * One consuming connection: parses deliveries where they lie, checks each, settles multiple every N. Consumer tags are
 * the decimal indexes of its queues.
 */
export class Consumer implements FrameReader {
  readonly deliverLatency = new Histogram()
  readonly problems = new Problems()
  redelivered = 0
  /** Rejects when the connection fails; never resolves. */
  readonly failed: Promise<never>
  readonly #job: ConsumeJob
  readonly #board: Board
  readonly #connection: RawConnection
  readonly #checker: DeliveryChecker
  readonly #acks: AckBuffer
  #delivered = 0
  #deliveryTag = 0
  #settledTag = 0
  #queue = 0
  /** Bytes of the present body still to come; -1 between messages, -2 before the content header. */
  #missing = -1

  static async open(job: ConsumeJob, board: Board): Promise<Consumer> {
    const name = `bench consumer ${job.consumer}`
    const connection = await RawConnection.open(job.address, { name, frameBytesMax: job.frameBytesMax })
    if (job.ackEvery > 0) {
      await connection.call(basicQos(connection.channel, job.prefetchCount), MethodId.BasicQosOk)
    }
    return new Consumer(job, board, connection)
  }

  private constructor(job: ConsumeJob, board: Board, connection: RawConnection) {
    this.#job = job
    this.#board = board
    this.#connection = connection
    this.#acks = new AckBuffer(connection.channel, (bytes) => connection.send(bytes))
    this.#checker = new DeliveryChecker({ ...job, queues: job.queues.length }, this.problems)
    let reject: (error: Error) => void = () => {}
    this.failed = new Promise((_, rejectFailed) => {
      reject = rejectFailed
    })
    this.failed.catch(() => {})
    connection.use(this, { drained: () => {}, blocked: () => {}, failed: (error) => reject(error) })
  }

  get serverName(): string {
    return this.#connection.serverName
  }

  get sequenceSum(): number {
    return this.#checker.sequenceSum
  }

  async start(): Promise<void> {
    const { channel } = this.#connection
    const isAutoAck = this.#job.ackEvery === 0
    for (const [index, queue] of this.#job.queues.entries()) {
      await this.#connection.call(basicConsume(channel, queue, String(index), isAutoAck), MethodId.BasicConsumeOk)
    }
  }

  async close(): Promise<void> {
    this.#settle()
    this.#acks.flush()
    await this.#connection.close()
  }

  read(bytes: Uint8Array, view: DataView, start: number, end: number): number {
    const now = monotonicMs()
    const frameBytesMax = this.#connection.frameBytesMax
    let at = start
    for (;;) {
      const next = frameEnd(bytes, view, at, end, frameBytesMax)
      if (next === 0) break
      const type = bytes[at]
      if (type === FrameType.Body) this.#body(bytes, view, at + 7, next - 1, now)
      else if (type === FrameType.Header) this.#header(view, at, now)
      else if (type === FrameType.Method) this.#method(bytes, view, at, next)
      at = next
    }
    this.#board.setDelivered(this.#job.consumer, this.#delivered)
    this.#acks.flush()
    return at
  }

  #method(bytes: Uint8Array, view: DataView, at: number, next: number): void {
    if (view.getUint32(at + 7) !== MethodId.BasicDeliver) {
      this.#connection.control(view, at, next)
      return
    }
    if (this.#missing !== -1) throw new Error('the broker began a delivery inside another one')
    const tagEnd = at + 12 + (bytes[at + 11] as number)
    let queue = 0
    for (let index = at + 12; index < tagEnd; index++) queue = queue * 10 + (bytes[index] as number) - zeroDigit
    this.#queue = queue
    const deliveryTag = view.getUint32(tagEnd) * 0x1_0000_0000 + view.getUint32(tagEnd + 4)
    if (deliveryTag !== this.#deliveryTag + 1) {
      this.problems.add(`delivery tag ${deliveryTag} came after ${this.#deliveryTag}`)
    }
    this.#deliveryTag = deliveryTag
    if (bytes[tagEnd + 8] !== 0) this.redelivered++
    this.#missing = -2
  }

  #header(view: DataView, at: number, now: number): void {
    if (this.#missing !== -2) throw new Error('the broker sent a content header without a delivery before it')
    this.#missing = view.getUint32(at + 11) * 0x1_0000_0000 + view.getUint32(at + 15)
    this.#checker.begin(this.#queue, this.#missing)
    if (this.#missing === 0) this.#end(now)
  }

  #body(bytes: Uint8Array, view: DataView, start: number, end: number, now: number): void {
    this.#missing -= end - start
    if (this.#missing < 0) throw new Error('the broker sent more body than its content header announced')
    this.#checker.piece(this.#queue, bytes, view, start, end)
    if (this.#missing === 0) this.#end(now)
  }

  #end(now: number): void {
    this.#missing = -1
    this.#delivered++
    const { sentAt } = this.#checker
    if (sentAt >= this.#board.measuredFrom && sentAt < this.#board.measuredUntil) this.deliverLatency.add(now - sentAt)
    const { ackEvery } = this.#job
    if (ackEvery > 0 && this.#deliveryTag - this.#settledTag >= ackEvery) this.#settle()
  }

  #settle(): void {
    if (this.#job.ackEvery === 0 || this.#deliveryTag === this.#settledTag) return
    this.#settledTag = this.#deliveryTag
    this.#acks.add(this.#deliveryTag)
  }
}
