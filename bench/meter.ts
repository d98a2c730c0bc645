import type { BrokerLoad } from './run-result.ts'
import type { BrokerUsage, UsageSample } from './target/broker-usage.ts'
import { type GcPauses, readGcPauses } from './target/gc-log.ts'
import { type LoopPauses, readLoopPauses } from './target/loop-log.ts'

export interface MeterReading {
  readonly seconds: number
  readonly broker: BrokerLoad | null
  readonly generatorCores: number
  readonly gc: GcPauses | null
  readonly loop: LoopPauses | null
}

/** Measures broker and generator from its making to `stop`: CPU, memory, garbage collections, pauses of its event loop. */
export class Meter {
  readonly #usage: BrokerUsage | null
  readonly #gcLogPath: string | null
  readonly #loopLogPath: string | null
  readonly #startedAt = performance.now()
  readonly #generator = process.cpuUsage()
  readonly #first: UsageSample | null
  #rssBytesMax = 0

  constructor(usage: BrokerUsage | null, gcLogPath: string | null, loopLogPath: string | null) {
    this.#usage = usage
    this.#gcLogPath = gcLogPath
    this.#loopLogPath = loopLogPath
    this.#first = usage?.sample() ?? null
    this.#rssBytesMax = this.#first?.rssBytes ?? 0
  }

  /** To be called now and then: memory is the highest of these looks. */
  look(): void {
    this.#rssBytesMax = Math.max(this.#rssBytesMax, this.#usage?.sample()?.rssBytes ?? 0)
  }

  /** `messages`: how many the CPU time is divided by. */
  stop(messages: number): MeterReading {
    const now = performance.now()
    const seconds = (now - this.#startedAt) / 1000
    const last = this.#usage?.sample() ?? null
    const generator = process.cpuUsage(this.#generator)
    const { timeOrigin } = performance
    return {
      seconds,
      broker: this.#brokerLoad(last, seconds, messages),
      generatorCores: (generator.user + generator.system) / 1e6 / seconds,
      gc: readGcPauses(this.#gcLogPath, timeOrigin + this.#startedAt, timeOrigin + now),
      loop: readLoopPauses(this.#loopLogPath, timeOrigin + this.#startedAt, timeOrigin + now),
    }
  }

  #brokerLoad(last: UsageSample | null, seconds: number, messages: number): BrokerLoad | null {
    if (last === null || this.#first === null) return null
    const cpuSeconds = last.cpuSeconds - this.#first.cpuSeconds
    return {
      cores: cpuSeconds / seconds,
      microsPerMessage: messages === 0 ? 0 : (cpuSeconds * 1e6) / messages,
      rssBytes: Math.max(this.#rssBytesMax, last.rssBytes),
    }
  }
}
