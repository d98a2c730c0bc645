import type { AmqpAddress } from '../wire/amqp-url.ts'

/** Processes whose CPU time is counted together, such as all brokers. */
export interface CpuPart {
  readonly name: string
  /** As they are now: a program may be started again. Each with all that it has started, but for those of other parts. */
  pids(): readonly number[]
}

/** Several nodes that are one broker, under measurement. */
export interface ClusterTarget {
  readonly name: string
  readonly nodes: readonly AmqpAddress[]
  readonly parts: readonly CpuPart[]
  /** Where a queue is served that is called so and declared through node `wanted`. */
  homeOf(queue: string, wanted: number): number
  /** How many places there are that queues are spread over, and in which of them one is; null: it is chosen by `homeOf` alone. */
  readonly places: number
  placeOf(queue: string): string | null
  /** Arguments of each queue. */
  readonly queueArguments: Readonly<Record<string, string>>
  /** What ended by itself, with its last words; null: nothing. */
  readonly lastWords: string | null
  close(): Promise<void>
}
