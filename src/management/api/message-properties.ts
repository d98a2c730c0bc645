import type { Properties, SomeProperties } from '../../amqp/content-header.ts'
import { emptyTable } from '../../amqp/field-table.ts'
import { isObject, type JsonObject } from '../../broker/definitions/entry.ts'
import { jsonOfTable } from '../../broker/definitions/json-table.ts'
import { badRequest } from './answer.ts'
import { Fields } from './request.ts'
import { tableField } from './tables.ts'

/** Names in JSON of the properties that are texts. */
const texts = {
  content_type: 'contentType',
  content_encoding: 'contentEncoding',
  correlation_id: 'correlationId',
  reply_to: 'replyTo',
  expiration: 'expiration',
  message_id: 'messageId',
  type: 'type',
  user_id: 'userId',
  app_id: 'appId',
  cluster_id: 'clusterId',
} as const satisfies Record<string, keyof Properties>

/** And of those that are numbers, with the largest there may be. */
const numbers = {
  delivery_mode: { name: 'deliveryMode', max: 255 },
  priority: { name: 'priority', max: 255 },
  timestamp: { name: 'timestamp', max: Number.MAX_SAFE_INTEGER },
} as const satisfies Record<string, { name: keyof Properties; max: number }>

/** The set ones; names as RabbitMQ has them. */
export function jsonOfProperties(properties: Properties): JsonObject {
  const json: Record<string, unknown> = {}
  for (const [key, name] of Object.entries(texts)) if (properties[name] !== null) json[key] = properties[name]
  for (const [key, { name }] of Object.entries(numbers)) {
    if (properties[name] !== null) json[key] = Number(properties[name])
  }
  if (properties.headers !== null) json['headers'] = jsonOfTable(properties.headers)
  return json
}

/** Throws 400 for a value that a property cannot have. What the broker makes of them is asked later. */
export function propertiesOfJson(json: unknown): SomeProperties {
  if (Array.isArray(json) && json.length === 0) return {}
  if (!isObject(json)) throw badRequest('properties has to be an object')
  const fields = new Fields(json)
  const properties: Record<string, unknown> = {}
  for (const [key, name] of Object.entries(texts)) if (fields.has(key)) properties[name] = textOf(fields, key)
  for (const [key, { name, max }] of Object.entries(numbers)) {
    if (fields.has(key)) properties[name] = numberOf(fields, key, max)
  }
  const headers = fields.has('headers') ? tableField(fields, 'headers') : emptyTable
  if (headers.fields.size > 0) properties['headers'] = headers
  return properties
}

/** Some tools send an expiration as a number. */
function textOf(fields: Fields, key: string): string {
  const value = fields.value(key)
  return typeof value === 'number' ? String(value) : fields.text(key)
}

function numberOf(fields: Fields, key: string, max: number): number {
  const value = fields.integer(key)
  if (value < 0 || value > max) throw badRequest(`${key} has to be a whole number from 0 to ${max}`)
  return value
}
