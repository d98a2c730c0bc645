import type { TableValue } from '../../client/driver/properties.ts'
import { misuse } from './command-failure.ts'

/** The argument `x-stream-offset`: where a consumer of a stream begins. Throws `CommandFailure`. */
export function streamOffset(text: string): TableValue {
  if (/^(first|last|next)$/.test(text)) return text
  if (/^\d+$/.test(text) && Number.isSafeInteger(Number(text))) return Number(text)
  // RabbitMQ's spans of time: seven days ago.
  if (/^\d+[YMDhms]$/.test(text)) return text
  const date = new Date(text)
  if (/^\d{4}-/.test(text) && !Number.isNaN(date.getTime())) return date
  throw misuse(
    `--offset '${text}' is none; give first, last, next, a number, a date of ISO 8601, or a span like 1h or 7D`,
  )
}
