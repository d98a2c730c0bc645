import type { RunQueue } from '../../base/run-queue.ts'
import { inSlices } from '../../base/sliced.ts'
import type { JsonObject } from '../../broker/definitions/entry.ts'

/** What is written at once, in UTF-16 units. */
const partLength = 64 * 1024

/** Puts pieces together to parts of some size, each in slices of the run queue, as fast as they are taken. */
export async function* textParts(runQueue: RunQueue, pieces: Iterable<string>): AsyncGenerator<string> {
  const left = pieces[Symbol.iterator]()
  for (;;) {
    const text = await inSlices(runQueue, nextPart(left))
    if (text === '') return
    yield text
  }
}

function* nextPart(pieces: Iterator<string>): Generator<void, string> {
  let text = ''
  while (text.length < partLength) {
    const next = pieces.next()
    if (next.done === true) return text
    text += next.value
    yield
  }
  return text
}

/** A JSON list, an item a piece. */
export function* listPieces(items: Iterable<unknown>): Generator<string> {
  let separator = '['
  for (const item of items) {
    yield separator + JSON.stringify(item)
    separator = ','
  }
  yield separator === '[' ? '[]' : ']'
}

/** The same of what comes by and by, in parts of some size. */
export async function* listPiecesOf(items: AsyncIterable<unknown>): AsyncGenerator<string> {
  let text = ''
  let separator = '['
  for await (const item of items) {
    text += separator + JSON.stringify(item)
    separator = ','
    if (text.length < partLength) continue
    yield text
    text = ''
  }
  yield text + (separator === '[' ? '[]' : ']')
}

/** A JSON object whose lists may be long. */
export function* objectPieces(json: JsonObject): Generator<string> {
  let separator = '{'
  for (const [key, value] of Object.entries(json)) {
    yield `${separator}${JSON.stringify(key)}:`
    if (Array.isArray(value)) yield* listPieces(value)
    else yield JSON.stringify(value)
    separator = ','
  }
  yield separator === '{' ? '{}' : '}'
}
