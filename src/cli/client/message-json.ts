/**
 * A message as JSON for scripts, with the names of RabbitMQ's HTTP API: `payload` is text when the body is UTF-8 and
 * base64 otherwise, which `payload_encoding` says.
 */
import type { Delivery } from '../../client/driver/driver.ts'
import type { MessageProperties, TableValue } from '../../client/driver/properties.ts'

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** One line, without its end. */
export function messageJson(delivery: Delivery): string {
  const { exchange, routingKey, isRedelivered, properties, body } = delivery
  const text = textOf(body)
  return JSON.stringify({
    exchange,
    routing_key: routingKey,
    redelivered: isRedelivered,
    properties: propertiesJson(properties),
    payload_bytes: body.length,
    payload: text ?? Buffer.from(body).toString('base64'),
    payload_encoding: text === null ? 'base64' : 'string',
  })
}

function textOf(body: Uint8Array): string | null {
  try {
    return decoder.decode(body)
  } catch {
    return null
  }
}

function propertiesJson(properties: MessageProperties): Record<string, unknown> {
  const { headers, timestamp, ...others } = properties
  const json: Record<string, unknown> = {}
  for (const [name, value] of Object.entries(others)) {
    if (value !== undefined) json[name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)] = value
  }
  if (timestamp !== undefined) json['timestamp'] = Math.floor(timestamp.getTime() / 1000)
  if (headers !== undefined) json['headers'] = plain(headers)
  return json
}

/** JSON has no bytes, moments and 64-bit numbers: base64, ISO 8601, and digits where a number would not be exact. */
function plain(value: TableValue): unknown {
  if (typeof value === 'bigint') return Number.isSafeInteger(Number(value)) ? Number(value) : String(value)
  if (typeof value !== 'object' || value === null) return value
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? null : value.toISOString()
  if (value instanceof Uint8Array) return Buffer.from(value).toString('base64')
  if (Array.isArray(value)) return value.map((one: TableValue) => plain(one))
  return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, plain(one)]))
}
