/** A TOML configuration file as dotted keys with values, and the line on which each key stands. */
import { parse, TomlError } from 'smol-toml'

export interface TomlSource {
  /** Tables are flattened: `[limits]` with `frame-size` is `limits.frame-size`. */
  readonly values: ReadonlyMap<string, unknown>
  /** Line of a dotted key, counted from 1. */
  lineOf(key: string): number
}

/** The text is not TOML. `line` and `column` count from 1. */
export class TomlSyntaxError extends Error {
  readonly code = 'TOML_SYNTAX'
  readonly line: number
  readonly column: number

  constructor(cause: TomlError) {
    const [sentence = 'not valid TOML'] = cause.message.replace(/^Invalid TOML document: /, '').split('\n')
    super(sentence, { cause })
    this.line = cause.line
    this.column = cause.column
  }
}

export function readToml(toml: string): TomlSource {
  const values = new Map<string, unknown>()
  try {
    flatten(parse(toml), '', values)
  } catch (error) {
    throw error instanceof TomlError ? new TomlSyntaxError(error) : error
  }
  return { values, lineOf: (key) => findLine(toml.split('\n'), key) }
}

function flatten(table: Record<string, unknown>, prefix: string, into: Map<string, unknown>): void {
  for (const [name, value] of Object.entries(table)) {
    if (isTable(value)) flatten(value, `${prefix}${name}.`, into)
    else into.set(prefix + name, value)
  }
}

function isTable(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Date)
}

/**
 * The parser keeps no places, so the text is looked at once more: the longest written key that is `key` or a table
 * around it (`limits = { … }`) wins. A look-alike inside a multi-line string could mislead it, by a line number.
 */
function findLine(lines: readonly string[], key: string): number {
  let table = ''
  let best = { line: 1, length: 0 }
  for (const [index, line] of lines.entries()) {
    const header = /^\s*\[+\s*([^\]]+?)\s*\]/.exec(line)
    if (header !== null) table = `${bare(header[1])}.`
    const assignment = /^\s*((?:"[^"]*"|'[^']*'|[\w-]+)(?:\s*\.\s*(?:"[^"]*"|'[^']*'|[\w-]+))*)\s*=/.exec(line)
    const written = assignment === null ? table.slice(0, -1) : table + bare(assignment[1])
    const fits = written === key || key.startsWith(`${written}.`)
    if (fits && written.length > best.length) best = { line: index + 1, length: written.length }
  }
  return best.line
}

function bare(written = ''): string {
  return written
    .split('.')
    .map((part) => part.trim().replace(/^(["'])(.*)\1$/, '$2'))
    .join('.')
}
