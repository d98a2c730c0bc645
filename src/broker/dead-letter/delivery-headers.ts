import { changeFields, emptyTable, type FieldValue } from '../../amqp/field-table.ts'
import type { Message } from '../message.ts'
import { MessageCopy, propertiesOf } from './message-copy.ts'

export interface DeliveryCounts {
  /** Deliveries of the message that have failed. */
  readonly deliveryCount: number
  /** How often it was handed to a consumer, this time not counted. */
  readonly acquiredCount: number
}

/** Writes `x-delivery-count` and `x-acquired-count` into the headers of messages that are delivered again. */
export class DeliveryHeaders {
  readonly #copy = new MessageCopy()

  /**
   * The message with the counts that are above 0 in its headers, as `l`, whatever a publisher wrote there; with none
   * above 0, `message` itself. Valid until the next call, and its chunks, if it has any, are those of `message`. Throws
   * `ProtocolError` as `DeadLetterWriter.rewrite` does.
   */
  withDeliveryHeaders(message: Message, { deliveryCount, acquiredCount }: DeliveryCounts): Message {
    if (deliveryCount <= 0 && acquiredCount <= 0) return message
    const changes = new Map<string, FieldValue>()
    if (deliveryCount > 0) changes.set('x-delivery-count', { tag: 'l', value: deliveryCount })
    if (acquiredCount > 0) changes.set('x-acquired-count', { tag: 'l', value: acquiredCount })
    const properties = propertiesOf(message)
    const headers = changeFields(properties.headers ?? emptyTable, changes)
    return this.#copy.fill(message, properties, { headers }, null)
  }
}
