/**
 * Holds a value, as a TOML file or a piece of text gives it, against what its option takes.
 *
 * By hand and not by a schema library: the bounds stand in the options' own description, which the error sentences need
 * anyway, and loading a library took a third of a start.
 */
import { byteUnits, durationUnits, type Kind, parseMeasure } from './option.ts'

/** The value the program works with (bytes, milliseconds), or null when it does not fit. */
export function check(kind: Kind, value: unknown): number | string | null {
  switch (kind.type) {
    case 'integer':
      return between(kind, value, true)
    case 'port':
      return value === 'none' ? value : between({ min: 0, max: 65_535 }, value, true)
    case 'fraction':
      return between(kind, value, false)
    case 'bytes':
      return between(kind, typeof value === 'string' ? parseMeasure(value, byteUnits) : value, true)
    case 'duration':
      return between(kind, typeof value === 'string' ? parseMeasure(value, durationUnits) : null, true)
    case 'choice':
      return typeof value === 'string' && kind.values.includes(value) ? value : null
    case 'text':
      return typeof value === 'string' && value !== '' ? value : null
  }
}

/** Flags and environment variables are text; where the option takes a bare number, one is meant. */
export function checkText(kind: Kind, text: string): number | string | null {
  const takesNumber =
    kind.type === 'integer' || kind.type === 'port' || kind.type === 'fraction' || kind.type === 'bytes'
  return check(kind, takesNumber && /^\d+(\.\d+)?$/.test(text.trim()) ? Number(text) : text)
}

function between({ min, max }: { min: number; max: number }, value: unknown, isWhole: boolean): number | null {
  const fits = typeof value === 'number' && value >= min && value <= max && (!isWhole || Number.isInteger(value))
  return fits ? value : null
}
