/** Rows as an aligned table for people: numbers to the right, no lines, a bold head on a terminal. */

export interface Column {
  readonly name: string
  /** Null: shown as an empty cell. */
  value(row: { readonly [name: string]: unknown }): string | number | boolean | null
}

export type Cell = string | number | boolean | null

/** Lines without their ends; the first is the head. */
export function tableLines(names: readonly string[], rows: readonly (readonly Cell[])[]): string[] {
  const texts = rows.map((row) => row.map(cellText))
  const isRight = names.map((_, at) => rows.length > 0 && rows.every((row) => typeof row[at] !== 'string'))
  const widths = names.map((name, at) => Math.max(width(name), ...texts.map((row) => width(row[at] ?? ''))))
  return [names, ...texts].map((row) =>
    row
      .map((text, at) => {
        const padding = ' '.repeat((widths[at] ?? 0) - width(text))
        return isRight[at] === true ? padding + text : text + padding
      })
      .join('  ')
      .trimEnd(),
  )
}

/** By a column, numbers by value; 'name' ascending, '-name' descending. Stable. */
export function compareCells(a: Cell, b: Cell): number {
  if (typeof a === 'number' && typeof b === 'number') return a - b
  if (a === null || b === null) return Number(a === null) - Number(b === null)
  return String(a) < String(b) ? -1 : Number(String(a) > String(b))
}

function cellText(cell: Cell): string {
  if (cell === null) return ''
  if (typeof cell === 'boolean') return cell ? 'yes' : ''
  if (typeof cell === 'number') return Number.isInteger(cell) ? String(cell) : cell.toFixed(1)
  return safe(cell)
}

/** A name may hold anything: control characters must not reach the terminal. */
export function safe(text: string): string {
  return text.replace(/\p{Cc}/gu, '�')
}

/** Columns it takes on a terminal, where wide letters take two. */
function width(text: string): number {
  let columns = 0
  for (const letter of text) columns += isWide(letter.codePointAt(0) ?? 0) ? 2 : 1
  return columns
}

function isWide(code: number): boolean {
  if (code < 0x1100) return false
  return (
    code <= 0x115f ||
    (code >= 0x2e80 && code <= 0xa4cf) ||
    (code >= 0xac00 && code <= 0xd7a3) ||
    (code >= 0xf900 && code <= 0xfaff) ||
    (code >= 0xfe30 && code <= 0xfe6f) ||
    (code >= 0xff00 && code <= 0xff60) ||
    (code >= 0x1f300 && code <= 0x1faff) ||
    (code >= 0x20000 && code <= 0x3fffd)
  )
}
