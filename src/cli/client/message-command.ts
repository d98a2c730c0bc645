/** Runs a person's command for one message: the body on its stdin, the rest in its environment. */
import { spawn } from 'node:child_process'
import type { Delivery } from '../../client/driver/driver.ts'
import { processEnvironment } from '../../config.ts'

/** How it ended: 0 is success; -1 for a signal, or when it could not be started. */
export function runMessageCommand(command: string, queue: string, delivery: Delivery): Promise<number> {
  return new Promise((resolve) => {
    const child = spawn(command, {
      shell: true,
      stdio: ['pipe', 'inherit', 'inherit'],
      env: { ...processEnvironment(), ...environmentOf(queue, delivery) },
    })
    // It may end without having read everything.
    child.stdin.on('error', () => undefined)
    child.stdin.end(delivery.body)
    child.once('error', () => resolve(-1))
    child.once('close', (code) => resolve(code ?? -1))
  })
}

/** NUL cannot stand in an environment. */
function environmentOf(queue: string, { exchange, routingKey, isRedelivered, properties }: Delivery) {
  const values: Record<string, string | undefined> = {
    MESSAGE_QUEUE: queue,
    MESSAGE_EXCHANGE: exchange,
    MESSAGE_ROUTING_KEY: routingKey,
    MESSAGE_REDELIVERED: String(isRedelivered),
    MESSAGE_ID: properties.messageId,
    MESSAGE_CORRELATION_ID: properties.correlationId,
    MESSAGE_CONTENT_TYPE: properties.contentType,
    MESSAGE_TYPE: properties.type,
  }
  return Object.fromEntries(
    Object.entries(values).flatMap(([name, value]) =>
      value === undefined ? [] : [[name, value.replaceAll('\0', '')]],
    ),
  )
}
