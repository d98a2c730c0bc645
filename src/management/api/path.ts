/**
 * The path of a request target, for finding a route. An empty segment stands for the default exchange, whose name is
 * empty; a slash at the end means nothing. Null: it cannot be decoded, or is no path.
 */
export function pathOf(target: string): string | null {
  const [path = ''] = target.split(/[?#]/, 1)
  if (!path.startsWith('/') || !isDecodable(path)) return null
  return path.replace(/(?<=.)\/$/, '').replaceAll(/(?<=\/)\//g, 'amq.default/')
}

function isDecodable(path: string): boolean {
  try {
    decodeURIComponent(path)
    return true
  } catch {
    return false
  }
}
