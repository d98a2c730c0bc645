/**
 * What becomes of the deliveries of `warren consume`. A message is acknowledged when it has been dealt with: written to
 * stdout, or its command has ended well. Whatever else was delivered goes back to its queue when the channel closes, so
 * an end at any moment loses nothing.
 */
import type { ConsumerEvents, Delivery, DriverChannel } from '../../client/driver/driver.ts'
import { ExitCode } from '../exit-code.ts'
import { CommandFailure } from './command-failure.ts'
import { runMessageCommand } from './message-command.ts'
import { messageJson } from './message-json.ts'
import type { Run } from './run.ts'

export type AckMode = 'when-done' | 'on-arrival' | 'never'

export interface ConsumptionSettings {
  readonly queue: string
  readonly mode: AckMode
  /** Null: until it is stopped. */
  readonly count: number | null
  readonly isJson: boolean
  /** Null: bodies are printed. */
  readonly exec: string | null
  readonly concurrency: number
  /** What happens when the command fails. */
  readonly onFailure: 'requeue' | 'reject'
}

const newline = Uint8Array.of(0x0a)
/** After a failed command the next one waits, twice as long each time, in milliseconds. */
const pauseMsMin = 100
const pauseMsMax = 10_000

export class Consumption implements ConsumerEvents {
  /** Dealt with, or given to a command. */
  taken = 0
  failures = 0
  lastAt: number
  readonly delivered: (delivery: Delivery) => void
  readonly cancelled: () => void
  /** Resolves when nothing more is wanted; rejects when the broker ends the subscription. */
  readonly ended: Promise<void>
  readonly #channel: DriverChannel
  readonly #settings: ConsumptionSettings
  readonly #run: Run
  readonly #waiting: Delivery[] = []
  #isEnding = false
  #end: () => void = () => {}
  #running = 0
  #idle: (() => void)[] = []
  #pauseMs = 0
  /** The newest tag that may be acknowledged with all before it; 0 for none. */
  #ackUpTo = 0
  #isAckDue = false

  constructor(channel: DriverChannel, settings: ConsumptionSettings, run: Run) {
    this.#channel = channel
    this.#settings = settings
    this.#run = run
    this.lastAt = run.clock.monotonic()
    let refuse: (error: Error) => void = () => {}
    this.ended = new Promise((resolve, reject) => {
      this.#end = resolve
      refuse = reject
    })
    this.ended.catch(() => undefined)
    this.delivered = (delivery) => this.#delivered(delivery)
    this.cancelled = () => {
      const sentence = `the broker ended the subscription to queue '${settings.queue}'; it was deleted or has moved`
      refuse(new CommandFailure(ExitCode.notFound, sentence))
    }
  }

  /** Takes nothing more. */
  end(): void {
    this.#isEnding = true
    this.#end()
  }

  /** Resolves when what is in hand is finished and acknowledged. */
  async finished(): Promise<void> {
    while (this.#running > 0) await new Promise<void>((resolve) => this.#idle.push(resolve))
    await this.#run.printer.flushed()
    this.#sendAcks()
  }

  #delivered(delivery: Delivery): void {
    if (this.#isEnding) return
    this.lastAt = this.#run.clock.monotonic()
    if (this.#settings.exec !== null) {
      this.#waiting.push(delivery)
      this.#startCommands(this.#settings.exec)
      return
    }
    if (this.#settings.mode === 'on-arrival') this.#ack(delivery.deliveryTag)
    this.#count()
    this.#print(delivery)
  }

  #count(): void {
    this.taken++
    if (this.taken === this.#settings.count) this.end()
  }

  #print(delivery: Delivery): void {
    const { isJson, mode } = this.#settings
    const written = (isWritten: boolean): void => {
      if (isWritten && mode === 'when-done') this.#ack(delivery.deliveryTag)
    }
    if (isJson) this.#run.printer.write(`${messageJson(delivery)}\n`, written)
    else this.#run.printer.write(Buffer.concat([delivery.body, newline]), written)
  }

  /** They are dealt with in order, so one acknowledgement at the end of the turn covers all. */
  #ack(tag: number): void {
    this.#ackUpTo = tag
    if (this.#isAckDue) return
    this.#isAckDue = true
    this.#run.clock.soon(() => this.#sendAcks())
  }

  #sendAcks(): void {
    this.#isAckDue = false
    if (this.#ackUpTo > 0) this.#channel.ack(this.#ackUpTo, true)
    this.#ackUpTo = 0
  }

  // ---------------------------------------------------------------- commands

  #startCommands(command: string): void {
    while (this.#running < this.#settings.concurrency && !this.#isEnding) {
      const delivery = this.#waiting.shift()
      if (delivery === undefined) return
      this.#running++
      this.#count()
      void this.#execute(command, delivery, this.taken).finally(() => {
        this.#running--
        if (this.#running === 0) for (const wake of this.#idle.splice(0)) wake()
        this.#startCommands(command)
      })
    }
  }

  async #execute(command: string, delivery: Delivery, number: number): Promise<void> {
    const { mode, queue, onFailure } = this.#settings
    if (mode === 'on-arrival') this.#channel.ack(delivery.deliveryTag, false)
    const code = await runMessageCommand(command, queue, delivery)
    if (code === 0) {
      this.#pauseMs = 0
      if (mode === 'when-done') this.#channel.ack(delivery.deliveryTag, false)
      return
    }
    this.failures++
    const how = code === -1 ? 'was killed or could not be started' : `ended with ${code}`
    const fate = mode !== 'when-done' ? '' : onFailure === 'requeue' ? '; the message goes back' : '; it is rejected'
    this.#run.printer.note(`warren: the command ${how} for message ${number}${fate}`)
    await this.#pause()
    if (mode !== 'when-done') return
    if (onFailure === 'requeue') this.#channel.nack(delivery.deliveryTag, { isRequeue: true, isMultiple: false })
    else this.#channel.reject(delivery.deliveryTag, false)
  }

  /** So that a command that always fails does not run in circles as fast as it can. */
  async #pause(): Promise<void> {
    if (this.#isEnding) return
    this.#pauseMs = Math.min(Math.max(this.#pauseMs * 2, pauseMsMin), pauseMsMax)
    await this.#run.stop.pause(this.#pauseMs, this.#run.clock)
  }
}
