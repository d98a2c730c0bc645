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
