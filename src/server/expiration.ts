import { Methods } from '../amqp/methods.generated.ts'
import { ProtocolError, ReplyCodes } from '../amqp/reply-codes.ts'

/** The longest expiration there is: ten years, in milliseconds. Above: 406, as in RabbitMQ. */
export const expirationMsMax = 315_360_000_000

/**
 * The `expiration` property in milliseconds: a whole number from 0 to `expirationMsMax` in decimal digits. Throws 406 in
 * RabbitMQ's words, which are Erlang's terms for what is wrong.
 */
export function expirationMsOf(text: string): number {
  const [, digits, rest] = /^([+-]?\d+)?(.*)$/s.exec(text) ?? []
  if (digits === undefined) throw invalid(text, 'no_integer')
  if (rest !== undefined && rest !== '') throw invalid(text, `{leftover_string,${erlangString(rest)}}`)
  const value = Number(digits)
  if (value < 0) throw invalid(text, `{value_negative,${BigInt(digits)}}`)
  // Erlang's integers have no limit, and the sign plus is not shown.
  if (value > expirationMsMax) throw invalid(text, `{value_too_large,${BigInt(digits.replace('+', ''))}}`)
  return value === 0 ? 0 : value
}

function invalid(text: string, reason: string): ProtocolError {
  const explanation = `invalid expiration '${text}': ${reason}`
  return new ProtocolError(ReplyCodes.PreconditionFailed, explanation, Methods.BasicPublish)
}

/** A string as Erlang shows one: in quotes where it can be printed, else as the list of its bytes. */
function erlangString(text: string): string {
  if (/^[\x20-\x7e]*$/.test(text)) return `"${text.replaceAll(/["\\]/g, '\\$&')}"`
  return `[${[...Buffer.from(text)].join(',')}]`
}
