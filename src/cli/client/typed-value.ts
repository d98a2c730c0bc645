/** Values of headers and arguments as they are typed: `NAME=VALUE`, with the type that the value looks like. */
import type { Table, TableValue } from '../../client/driver/properties.ts'
import { misuse } from './command-failure.ts'

/** How the type is found, for the help. */
export const typedValueHelp =
  'VALUE: 123 and 1.5 are numbers, true and false booleans, {…} and […] JSON, "123" a string; anything else is a string'

const nameBytesMax = 128

/** `pairs` in their order; the last of a name counts. Throws `CommandFailure`. */
export function typedTable(option: string, pairs: readonly string[]): Table {
  const table: Record<string, TableValue> = Object.create(null)
  for (const pair of pairs) {
    const at = pair.indexOf('=')
    if (at <= 0) throw misuse(`${option} '${pair}' is not NAME=VALUE; write it like ${option} x-priority=5`)
    const name = pair.slice(0, at)
    if (Buffer.byteLength(name) > nameBytesMax) {
      throw misuse(`the name of ${option} '${name.slice(0, 20)}…' is longer than ${nameBytesMax} bytes; shorten it`)
    }
    table[name] = typedValue(option, name, pair.slice(at + 1))
  }
  return table
}

function typedValue(option: string, name: string, text: string): TableValue {
  if (text === 'true' || text === 'false') return text === 'true'
  if (text === 'null') return null
  if (/^-?(0|[1-9]\d*)$/.test(text)) return wholeNumber(option, name, text)
  if (/^-?\d+\.\d+$/.test(text)) return Number(text)
  if (!/^["[{]/.test(text)) return text
  try {
    return JSON.parse(text) as TableValue
  } catch {
    const mend = `quote it in full, like ${option} '${name}={"a":1}'`
    throw misuse(`the value of ${option} ${name} begins like JSON but cannot be read as such; ${mend}`)
  }
}

function wholeNumber(option: string, name: string, text: string): number | bigint {
  const value = Number(text)
  if (Number.isSafeInteger(value)) return value
  const exact = BigInt(text)
  if (BigInt.asIntN(64, exact) === exact) return exact
  throw misuse(`the number of ${option} ${name} does not fit 64 bits; write '"${text}"' to send it as a string`)
}
