import type { FieldTable, FieldValue } from '../../amqp/field-table.ts'
import { BrokerError } from '../errors.ts'
import type { DeclaredQueue, QueueProperties } from './declared-queue.ts'
import { alternateExchangeKey, type Exchange, type ExchangeProperties } from './exchange.ts'
import { isSameValue, typeName, valueText } from './field-values.ts'
import { shown } from './names.ts'
import { knownArguments, queueTypeKey } from './queue-arguments.ts'

/**
 * Declaring something that exists is fine when it would be the same thing (406 when not): the same properties, and of
 * the arguments those that mean something for its type. Others are not compared.
 */
export function checkSameQueue(current: DeclaredQueue, received: QueueProperties): void {
  const what = shown('queue', current.name, current.vhost)
  checkSameProperty(what, 'durable', current.isDurable, received.isDurable)
  checkSameProperty(what, 'auto_delete', current.isAutoDelete, received.isAutoDelete)
  for (const key of knownArguments) checkSameArgument(what, key, current.arguments, received.arguments)
}

export function checkSameExchange(current: Exchange, received: ExchangeProperties): void {
  const what = shown('exchange', current.name, current.home.name)
  checkSameProperty(what, 'type', current.type, received.type)
  checkSameProperty(what, 'durable', current.isDurable, received.isDurable)
  checkSameProperty(what, 'auto_delete', current.isAutoDelete, received.isAutoDelete)
  checkSameProperty(what, 'internal', current.isInternal, received.isInternal)
  checkSameArgument(what, alternateExchangeKey, current.arguments, received.arguments)
}

function checkSameProperty(what: string, name: string, current: boolean | string, received: boolean | string): void {
  if (current !== received) throw differs(what, name, `'${current}'`, `'${received}'`)
}

function checkSameArgument(what: string, key: string, currentTable: FieldTable, receivedTable: FieldTable): void {
  const current = currentTable.fields.get(key) ?? valueIfAbsent(key)
  const received = receivedTable.fields.get(key) ?? valueIfAbsent(key)
  if (current === undefined && received === undefined) return
  if (current === undefined || received === undefined) throw differs(what, key, withType(current), withType(received))
  if (isSameValue(current, received)) return
  throw differs(what, key, `'${valueText(current)}'`, `'${valueText(received)}'`)
}

/** Saying nothing of a queue's type is saying that it is classic. */
function valueIfAbsent(key: string): FieldValue | undefined {
  return key === queueTypeKey ? { tag: 'S', value: 'classic' } : undefined
}

function withType(field: FieldValue | undefined): string {
  return field === undefined ? 'none' : `the value '${valueText(field)}' of type '${typeName(field.tag)}'`
}

function differs(what: string, name: string, current: string, received: string): BrokerError {
  const text = `inequivalent arg '${name}' for ${what}: received ${received} but current is ${current}`
  return new BrokerError('precondition-failed', text)
}
