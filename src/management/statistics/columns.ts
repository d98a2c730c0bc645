/** What is sampled, and in which order. */
import type { ExchangeCounts, MessageCounts } from '../../broker/statistics/message-counts.ts'

/** Where a number stands in the samples of a thing; several are added up. */
export type Column = number | readonly number[]

/** Of queues, channels and vhosts, under the names that RabbitMQ gives them. */
export const messageColumns = {
  publish: 0,
  confirm: 1,
  return_unroutable: 2,
  drop_unroutable: 3,
  deliver: 4,
  deliver_no_ack: 5,
  get: 6,
  get_no_ack: 7,
  get_empty: 8,
  ack: 9,
  redeliver: 10,
  deliver_get: [4, 5, 6, 7],
} as const satisfies Record<string, Column>

/** Of queues and vhosts, behind those. */
export const lengthColumns = {
  messages_ready: 11,
  messages_unacknowledged: 12,
  messages: [11, 12],
} as const satisfies Record<string, Column>

export const exchangeColumns = { publish_in: 0, publish_out: 1 } as const satisfies Record<string, Column>

export const trafficColumns = { recv_oct: 0, send_oct: 1 } as const satisfies Record<string, Column>

/** Of the node, behind those of messages and lengths. */
export const nodeColumns = {
  recv_oct: 13,
  send_oct: 14,
  connection_created: 15,
  connection_closed: 16,
  channel_created: 17,
  channel_closed: 18,
  queue_declared: 19,
  queue_created: 20,
  queue_deleted: 21,
  mem_used: 22,
} as const satisfies Record<string, Column>

export const channelWidth = 11
export const queueWidth = 13
export const exchangeWidth = 2
export const trafficWidth = 2
export const nodeWidth = 23

export function readMessages(counts: MessageCounts, into: Float64Array): void {
  into[0] = counts.publish
  into[1] = counts.confirm
  into[2] = counts.returnUnroutable
  into[3] = counts.dropUnroutable
  into[4] = counts.deliver
  into[5] = counts.deliverNoAck
  into[6] = counts.get
  into[7] = counts.getNoAck
  into[8] = counts.getEmpty
  into[9] = counts.ack
  into[10] = counts.redeliver
}

export function readExchange(counts: ExchangeCounts, into: Float64Array): void {
  into[0] = counts.publishIn
  into[1] = counts.publishOut
}

export function valueIn(numbers: Float64Array | null | undefined, column: Column): number {
  if (numbers === null || numbers === undefined) return 0
  if (typeof column === 'number') return numbers[column] ?? 0
  let sum = 0
  for (const index of column) sum += numbers[index] ?? 0
  return sum
}
