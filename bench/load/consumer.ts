import { Histogram } from '../stats/histogram.ts'
import { AckBuffer } from '../wire/ack-buffer.ts'
import { basicConsume, basicQos } from '../wire/method-frames.ts'
import { MethodId } from '../wire/method-ids.ts'
import { RawConnection } from '../wire/raw-connection.ts'
import type { FrameReader } from '../wire/read-buffer.ts'
import type { Board } from './board.ts'
import { DeliveryChecker } from './delivery-checker.ts'
import { type DeliveryListener, DeliveryReader } from './delivery-reader.ts'
import type { ConsumeJob } from './jobs.ts'
import { monotonicMs } from './monotonic-time.ts'
import { Problems } from './problems.ts'

/** One consuming connection: takes its deliveries, measures how long they took, settles multiple every N. */
export class Consumer implements FrameReader, DeliveryListener {
  readonly deliverLatency = new Histogram()
  readonly problems = new Problems()
  /** Rejects when the connection fails; never resolves. */
  readonly failed: Promise<never>
  readonly #job: ConsumeJob
  readonly #board: Board
  readonly #connection: RawConnection
  readonly #checker: DeliveryChecker
  readonly #reader: DeliveryReader
  readonly #acks: AckBuffer
  #now = 0
  #deliveryTag = 0
  #settledTag = 0

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
    this.#reader = new DeliveryReader(connection.frameBytesMax, this.#checker, this.problems, this)
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

  get redelivered(): number {
    return this.#reader.redelivered
  }

  async start(): Promise<void> {
    const { channel } = this.#connection
    const isAutoAck = this.#job.ackEvery === 0
    for (const [index, queue] of this.#job.queues.entries()) {
      await this.#connection.call(basicConsume(channel, queue, String(index), isAutoAck), MethodId.BasicConsumeOk)
    }
  }

  async close(): Promise<void> {
    if (this.#job.ackEvery > 0 && this.#deliveryTag > this.#settledTag) this.#acks.add(this.#deliveryTag)
    this.#acks.flush()
    await this.#connection.close()
  }

  read(bytes: Uint8Array, view: DataView, start: number, end: number): number {
    this.#now = monotonicMs()
    const next = this.#reader.read(bytes, view, start, end)
    this.#board.setDelivered(this.#job.consumer, this.#reader.delivered)
    this.#acks.flush()
    return next
  }

  message(deliveryTag: number, sentAt: number): void {
    this.#deliveryTag = deliveryTag
    const { measuredFrom, measuredUntil } = this.#board
    if (sentAt >= measuredFrom && sentAt < measuredUntil) this.deliverLatency.add(this.#now - sentAt)
    const { ackEvery } = this.#job
    if (ackEvery === 0 || deliveryTag - this.#settledTag < ackEvery) return
    this.#settledTag = deliveryTag
    this.#acks.add(deliveryTag)
  }

  control(view: DataView, frameStart: number, frameEndAt: number): void {
    this.#connection.control(view, frameStart, frameEndAt)
  }
}
