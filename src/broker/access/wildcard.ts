/**
 * Whether `name` is the given texts in their order with anything between one and the next; the first stands at the start,
 * the last at the end. Takes the first place where each fits, so it never goes back: time is at most that of one search
 * for each.
 */
export function matchesWildcard(parts: readonly string[], name: string): boolean {
  const [first = ''] = parts
  const last = parts.at(-1) ?? ''
  if (parts.length === 1) return name === first
  if (name.length < first.length + last.length || !name.startsWith(first) || !name.endsWith(last)) return false
  let at = first.length
  const end = name.length - last.length
  for (const part of parts.slice(1, -1)) {
    const found = name.indexOf(part, at)
    if (found < 0 || found + part.length > end) return false
    at = found + part.length
  }
  return true
}
