/** Reads the JSON of coordination keys. What another version wrote besides is passed over. */
export type Fields = Readonly<Record<string, unknown>>

/** Null when the text is no JSON object. */
export function fieldsOf(text: string): Fields | null {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return null // Not JSON: the caller says which key it was.
  }
  return isFields(value) ? value : null
}

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** A whole number from 0 on. */
export function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0
}
