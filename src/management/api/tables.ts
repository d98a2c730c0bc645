import type { FieldTable } from '../../amqp/field-table.ts'
import { DefinitionsError, Entry } from '../../broker/definitions/entry.ts'
import { tableOfJson } from '../../broker/definitions/json-table.ts'
import { badRequest } from './answer.ts'
import type { Fields } from './request.ts'

/** An object in what a client sent, as a table; without it an empty one. Throws 400. */
export function tableField(fields: Fields, key: string): FieldTable {
  const entry = new Entry(key, 0, { [key]: fields.object(key) })
  try {
    return tableOfJson(entry, key)
  } catch (error) {
    if (error instanceof DefinitionsError) throw badRequest(`${key}: ${error.message.replace(`${key}[0]: `, '')}`)
    throw error
  }
}
